"""The steps from rows to a version, each leaving its result for the next call.

The rows held out are neither learnt from nor chosen by; they alone decide about the gate.
"""

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shoal.agents import Agent, prompt_digest, schema_digest
from shoal.agents.prompt import build_messages
from shoal.agents.row import Row
from shoal.core.errors import ConfigError
from shoal.core.file_digest import hash_file
from shoal.curation.curate import curate
from shoal.curation.duplicates import normalise
from shoal.curation.splitting import Split, split
from shoal.curation.vary import vary
from shoal.evaluation.agent import evaluate_agent
from shoal.evaluation.extraction import RowScore, Scores, summarise
from shoal.evaluation.paired import judge_gate
from shoal.project import Project
from shoal.router.escalation import Policy
from shoal.runtime import LocalRuntime
from shoal.specialise.report import Progress, Provenance, SpecialiseReport, Stage, Step
from shoal.specialists import DataRecord, Draft, Gate, Score, Specialist, TuningRecord, Version
from shoal.training.stage_store import StageStore, digest_of
from shoal.training.tune_settings import Tuned, TuneProgress, TuneReport, TuneRow, TuneSettings

__all__ = ["Course", "Used"]

BASE_ROWS = 16
"""Held-out rows that the untuned base is asked: where it does not know when to stop, each takes as long as it
may. It is as much worse as a few rows can show: a specialist 50 points better passes in 98 cases of 100."""
EXAMPLES, EXAMPLE_CHARS = 40, 500
"""Inputs by which the router learns what is the agent's, and how long they may be."""
SAY_WHY = "Say why, in one sentence, instead of the answer."
NOT_LEARNT = {"budget_minutes", "checkpoint_every_s"}
"""Settings that may change while a tuning goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What the rows became."""

    parts: Split
    digest: str
    """Of the rows as they came in."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The making of one specialist. Its folder is this process's alone."""

    agent: Agent[Any]
    base: str
    weights: Path
    """Of the base, GGUF."""
    base_digest: str
    system: str
    tuning: TuneSettings
    provenance: Provenance
    project: Project
    runtime: LocalRuntime
    store: StageStore
    tell: Progress
    fewer_layers: int = 0
    """How many layers the base is to lose before it is tuned."""
    variants: int = 0
    """Of each row, learnt from beside it; see `shoal.curation.vary`."""

    def prepare(self, rows: Sequence[Row], held_out: Sequence[Row]) -> Used:
        """Curate and split. Takes seconds, so it is done in every call and not kept.

        Raises:
            InputError: too few rows are left, or all want the same answer.
            StorageError: the report cannot be written.
        """
        curated = curate(rows, self.agent, test=held_out)
        if held_out:
            parts = Split(train=curated.rows, gate=tuple(held_out), groups=0)
        else:
            parts = split(curated.rows, seed=self.tuning.seed)
        used = self.take(parts.train, parts.gate)
        notes = (*curated.report.lines(), *([parts.note] if parts.note else []))
        recipe = {name: value for name, value in asdict(self.tuning).items() if name not in NOT_LEARNT}
        recipe |= {"fewer_layers": self.fewer_layers, "variants": self.variants}
        lessons = _contents(parts.train)
        if not self.store.begin(digest_of(lessons, self.base_digest, self.system, recipe)):
            notes += (
                "other rows, recipe or base than in the last call: it was begun anew, and that one is kept",
            )
        self.store.save("curation", used.digest, curated.report.as_json())
        for note in notes:
            self.tell(Step(stage="curate", text=note))
        return replace(used, digest=digest_of(_contents(rows), _contents(held_out)), notes=notes)

    def take(self, rows: Sequence[Row], held_out: Sequence[Row]) -> Used:
        """Rows as they are."""
        text = f"{len(rows)} rows to learn from, {len(held_out)} held out"
        self.tell(Step(stage="curate", text=text))
        return Used(
            parts=Split(train=tuple(rows), gate=tuple(held_out), groups=0),
            digest=digest_of(_contents(rows), _contents(held_out)),
        )

    def prune(self, used: Used) -> "Course":
        """This course on a base without the layers that the rows to learn from miss least. Takes a minute.

        Raises:
            ConfigError: the base does not have that many layers to lose, or the extra `train` is missing.
            StorageError: the data folder cannot be written.
        """
        if not self.fewer_layers:
            return self
        from shoal.training.prune import keep_pruned

        lessons = [lesson for row in used.parts.train for lesson in self._lessons(row)]
        folder = self.project.settings.data_path / "bases"
        weights = keep_pruned(self.weights, lessons, self.fewer_layers, folder)
        with suppress(ValueError):
            weights = weights.relative_to(self.project.root)  # a project can be moved
        self.tell(Step(stage="prune", text=f"{self.fewer_layers} layers of {self.base} left out: {weights}"))
        path = self.project.root / weights
        return replace(self, base=f"embedded:{weights}", weights=path, base_digest=hash_file(path))

    async def tune(
        self, used: Used, tune: Callable[[Sequence[TuneRow], Path, Path, TuneSettings, TuneReport], Tuned]
    ) -> Tuned:
        """In a thread. Cancelled, it ends within a step, and its last checkpoint stays.

        Raises:
            ConfigError: variants are wanted, and there are none.
            ShoalError: what the tuning raises.
        """
        stopped = threading.Event()

        def show(at: TuneProgress) -> None:
            if stopped.is_set():
                raise _StoppedError
            self.tell(
                Step(stage="tune", done=at.steps_done, total=at.steps_planned, seconds_left=at.seconds_left)
            )

        rows = used.parts.train
        if self.variants:
            more = self._vary(used.parts)
            self.tell(Step(stage="tune", text=f"{len(more)} variants of the {len(rows)} rows beside them"))
            rows += more
        lessons = [lesson for row in rows for lesson in self._lessons(row)]
        work = asyncio.ensure_future(
            asyncio.to_thread(tune, lessons, self.weights, self.store.folder / "tuning", self.tuning, show)
        )
        try:
            tuned = await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            with suppress(_StoppedError):
                await work
            raise
        text = f"{tuned.steps} steps in {tuned.seconds / 60:.1f} minutes on {tuned.device}"
        self.tell(Step(stage="tune", text=text))
        return tuned

    def _vary(self, parts: Split) -> tuple[Row, ...]:
        """Variants of the rows to learn from. Values of two of them may make a text that is held out: it
        stays held out.
        """
        held_out = {normalise(row.input) for row in parts.gate}
        varied = vary(parts.train, self.agent.schema or {}, times=self.variants, seed=self.tuning.seed)
        more = tuple(row for row in varied if normalise(row.input) not in held_out)
        if not more:
            raise ConfigError(
                f"there are no variants of the rows of {self.agent.name}",
                why="none of its answers quotes its text, as far as its output type says",
                mend="leave out --vary, or make the strings that are quotes Verbatim",
            )
        return more

    async def admit(self, used: Used, tuned: Tuned) -> SpecialiseReport:
        """Evaluate, gate, register; live if it passes.

        Raises:
            ShoalError: what evaluation and registry raise.
        """
        digest = await asyncio.to_thread(hash_file, tuned.adapter)
        version = self._registered(digest, used.digest)
        if version is None:
            candidate = self._candidate(tuned.adapter, digest)
            scores = await self._ask("evaluate", candidate, used.parts.gate)
            gate = await self._judge(scores, used.parts.gate)
            version = self._register(used, tuned, scores, gate)
            if gate.passed and self._obstacle(version) is None:
                self.project.specialists.promote(self.agent.name, version.number)
        return self._report(version, used.notes)

    def _lessons(self, row: Row) -> Iterator[TuneRow]:
        """As it will be asked, and what it shall say; JSON laid out as the engine's grammar does it.

        A rationale is a second thing to say, under a prompt of its own, so that it costs nothing when serving
        (Hsieh et al. 2023, "Distilling Step-by-Step!").
        """
        asked = self._candidate(self.weights, "")
        system, user = build_messages(asked, row.input, (), self.agent.schema)
        answer = row.expected
        if self.agent.output is not str:
            answer = json.dumps(answer, ensure_ascii=False)
        yield TuneRow(messages=(system, user), answer=answer)
        if row.rationale is not None:
            why = replace(system, content=f"{system.content}\n{SAY_WHY}")
            yield TuneRow(messages=(why, user), answer=row.rationale)

    def _candidate(self, adapter: Path, digest: str) -> Agent[Any]:
        """The agent as it would be with this adapter."""
        specialist = Specialist(
            key=f"{self.agent.name}@new",
            system=self.system,
            adapter=adapter,
            base=self.base,
            base_digest=self.base_digest,
            digest=digest,
        )
        return replace(self.agent, specialist=specialist)

    async def _ask(self, stage: Stage, agent: Agent[Any], rows: Sequence[Row]) -> list[RowScore]:
        """Scores of an agent's answers, kept for the next call."""
        asked = (prompt_digest(agent), schema_digest(agent), str(agent.asked), self.base_digest)
        made_from = digest_of(asked, _contents(rows))
        kept = self.store.load(stage, made_from)
        if kept is None:
            found = await evaluate_agent(
                agent,
                rows,
                self.runtime,
                Policy(self.project.settings.escalation),
                progress=lambda done, total: self.tell(Step(stage=stage, done=done, total=total)),
            )
            for note in found.notes:
                self.tell(Step(stage=stage, text=note))
            kept = [asdict(answer.score) for answer in found.answers]
            self.store.save(stage, made_from, kept)
        scores = _ROW_SCORES.validate_python(kept)
        summary = summarise(scores)
        whom = agent.specialist.key if agent.specialist else "without a specialist"
        shown = f"field F1 {summary.field_f1.value:.3f}, exact {summary.exact_match.value:.3f}"
        self.tell(Step(stage=stage, text=f"{whom}: {shown}, on {len(scores)} held-out rows"))
        return scores

    async def _judge(self, new: Sequence[RowScore], rows: Sequence[Row]) -> Gate:
        live = self.project.specialists.specialist(self.agent.name)
        places: Sequence[int] = range(len(rows))
        if live is None:
            against, agent = f"{self.base} without tuning", self.agent.asking(self.base)
            draw = random.Random(self.tuning.seed)  # noqa: S311 (nobody is to be surprised)
            places = sorted(draw.sample(places, min(BASE_ROWS, len(rows))))  # files may be sorted by class
        else:
            against, agent = live.key, replace(self.agent, specialist=live)
        old = await self._ask("compare", agent, [rows[place] for place in places])
        gate = judge_gate(new, dict(zip(places, old, strict=True)), against=against)
        for reason in gate.reasons:
            self.tell(Step(stage="gate", text=reason))
        return gate

    def _registered(self, adapter_digest: str, data_digest: str) -> Version | None:
        """The version that an earlier call made of the very same."""
        versions = self.project.specialists.versions(self.agent.name)
        wanted = (adapter_digest, data_digest)
        return next((one for one in versions if (one.adapter_digest, one.data.digest) == wanted), None)

    def _register(self, used: Used, tuned: Tuned, scores: Sequence[RowScore], gate: Gate) -> Version:
        draft = Draft(
            base=self.base,
            base_digest=self.base_digest,
            system=self.system,
            data=DataRecord(
                digest=used.digest,
                rows=len(used.parts.train),
                held_out=len(used.parts.gate),
                licence=self.provenance.licence,
                source=self.provenance.source,
            ),
            tuning=TuningRecord(
                settings=asdict(tuned.settings) | ({"variants": self.variants} if self.variants else {}),
                steps=tuned.steps,
                seconds=tuned.seconds,
                device=tuned.device,
                energy_j=tuned.energy_j,
            ),
            scores=_scores(summarise(scores)),
            gate=gate,
            notes="\n".join(f"- {note}" for note in used.notes),
        )
        texts = [row.input for row in used.parts.train if len(row.input) <= EXAMPLE_CHARS]
        draw = random.Random(self.tuning.seed)  # noqa: S311 (nobody is to be surprised)
        examples = draw.sample(texts, min(EXAMPLES, len(texts)))
        return self.project.specialists.add(self.agent.name, draft, tuned.adapter, examples=examples)

    def _obstacle(self, version: Version) -> str | None:
        """Why the agent would not be answered by this version, and what to do; None = it would."""
        registry, name = self.project.specialists, self.agent.name
        served = self.project.served(self.agent, registry.check(name, version.number))
        if served is not None and served.adapter is None:
            mend = f"shoal promote {name} {version.number}"
            return f"{name} is served by another engine, where it has to be merged first: {mend}"
        if served is None:
            mend = f'Agent("{name}", model="{self.base}", ...), then: shoal promote {name} {version.number}'
            return f"{name} asks another model, so nothing changes for it yet: {mend}"
        return None

    def _report(self, version: Version, notes: tuple[str, ...]) -> SpecialiseReport:
        registry = self.project.specialists
        live = registry.live(self.agent.name)
        is_live = live is not None and live.number == version.number
        if not is_live and version.gate.passed and (obstacle := self._obstacle(version)):
            notes += (obstacle,)
        return SpecialiseReport(
            version=version,
            is_live=is_live,
            folder=registry.path(self.agent.name, version.number),
            notes=notes,
        )


class _StoppedError(Exception):
    """Ends the tuning's thread; nobody sees it."""


def _contents(rows: Sequence[Row]) -> list[tuple[str, Any, str | None]]:
    return [(row.input, row.expected, row.rationale) for row in rows]


def _scores(found: Scores) -> dict[str, Score]:
    named = {
        "field_f1": found.field_f1,
        "exact_match": found.exact_match,
        "valid_output": found.valid_output,
        **{f"{name}_f1": field.f1 for name, field in found.by_field.items() if name},
    }
    return {
        name: Score(value=one.value, low=one.low, high=one.high, rows=one.rows) for name, one in named.items()
    }


_ROW_SCORES: TypeAdapter[list[RowScore]] = TypeAdapter(list[RowScore])
