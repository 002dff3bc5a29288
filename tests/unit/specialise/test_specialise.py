"""The way from rows to a live version, with the real engine. What tunes is given: it leaves an adapter."""

import asyncio
import importlib.util
import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from shoal import Agent, Verbatim
from shoal.agents.row import Row, parse_rows
from shoal.core.errors import ConfigError, InputError, ModelMissing, StorageError, StorageLocked
from shoal.core.file_digest import hash_file
from shoal.project import Project, open_project
from shoal.specialise import Provenance, SpecialiseReport, Step, admit, specialise
from shoal.training.tune_settings import Tuned, TuneProgress, TuneReport, TuneRow, TuneSettings

YES = 'Answer "yes".'
Answers: Any = Literal["yes", "no"]
THINGS = [
    "the sea",
    "a fox",
    "my bike",
    "the moon",
    "this tea",
    "old cheese",
    "a drum",
    "the wind",
    "her hat",
    "ice",
]


def rows(count: int, *, expected: str | None = None, word: str = "Is {} number {} red?") -> tuple[Row, ...]:
    made = [
        {"input": word.format(THINGS[n % 10], n * 37), "expected": expected or ("yes" if n % 3 else "no")}
        for n in range(count)
    ]
    return parse_rows(enumerate(made, start=1))


class KilledError(Exception):
    pass


class Tuner:
    """Leaves an adapter in its folder, in steps, and can be stopped in between."""

    def __init__(self, adapter: Path, *, dies_at: int | None = None) -> None:
        self.adapter, self.dies_at = adapter, dies_at
        self.lessons: Sequence[TuneRow] = ()
        self.found: list[str] = []
        """What lay in the folder when it was called."""
        self.calls = 0

    def __call__(
        self,
        rows: Sequence[TuneRow],
        base: Path,
        work: Path,
        settings: TuneSettings,
        progress: TuneReport | None,
    ) -> Tuned:
        self.calls, self.lessons = self.calls + 1, rows
        work.mkdir(parents=True, exist_ok=True)
        self.found = sorted(path.name for path in work.iterdir())
        for step in range(1, 4):
            (work / f"step{step}").touch()
            if step == self.dies_at:
                raise KilledError
            if progress:
                progress(
                    TuneProgress(steps_done=step, steps_planned=3, seconds_left=1.0 * (3 - step), loss=1.0)
                )
        shutil.copy(self.adapter, work / "adapter.gguf")
        return tuned(work / "adapter.gguf", hash_file(base), len(rows), settings)


def tuned(adapter: Path, base_digest: str, count: int, settings: TuneSettings | None = None) -> Tuned:
    return Tuned(
        adapter=adapter,
        settings=settings or TuneSettings(),
        base_digest=base_digest,
        rows=count,
        steps=3,
        seconds=90.0,
        energy_j=None,
        device="cpu",
        loss=0.5,
    )


@pytest.fixture
def project(tmp_path: Path, smollm2_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    cache = smollm2_path.parent.parent
    (root / "shoal.toml").write_text(
        f'engine = "embedded"\ncache_dir = "{cache}"\n[embedded]\nnum_ctx = 512\nparallel = 2\n'
    )
    return open_project(root)


@pytest.fixture
def agent() -> Agent[Any]:
    return Agent(
        "oracle",
        job="Answer.",
        model="embedded:smollm2:135m",
        output=Answers,
        examples=[("Is it?", "no"), ("Is she?", "no"), ("Would they?", "no")],
        max_tokens=8,
    )


@pytest.mark.live
async def test_from_rows_to_a_live_version_and_again_without_doing_anything_twice(
    project: Project, agent: Agent[Any], lora_paths: dict[str, Path], tiny_lora: Path
) -> None:
    tuner, steps = Tuner(tiny_lora), list[Step]()
    bad = parse_rows([(31, {"input": "Is it maybe?", "expected": "maybe"})])
    held = rows(12, expected="yes", word="Would {} weigh {} stones?")

    async def train() -> SpecialiseReport:
        steps.clear()
        return await specialise(
            agent,
            rows(30) + bad,
            held_out=held,
            system=YES,
            provenance=Provenance(source="made up", licence="CC0-1.0"),
            project=project,
            progress=steps.append,
            tune=tuner,
        )

    report = await train()
    version = report.version
    assert (version.number, report.is_live) == (1, True)
    assert (version.data.rows, version.data.held_out, version.data.licence) == (30, 12, "CC0-1.0")
    assert version.scores["exact_match"].value == 1
    assert version.gate.passed
    assert "without tuning on the same 12 held-out rows" in version.gate.reasons[0]
    assert "CC0-1.0" in (report.folder / "card.md").read_text()
    lesson = tuner.lessons[0]
    assert [(one.role, one.content) for one in lesson.messages] == [
        ("system", YES),
        ("user", rows(1)[0].input),
    ]
    assert lesson.answer == '"no"'
    curation = json.loads((project.settings.data_path / "training/oracle/curation.json").read_text())
    assert [(one["number"], one["reason"]) for one in curation["result"]["removed"]] == [(31, "does not fit")]
    assert {step.stage for step in steps} == {"curate", "tune", "evaluate", "compare", "gate"}
    specialised = project.specialised(agent)
    assert specialised.specialist is not None
    assert specialised.specialist.key == "oracle@1"

    again = await train()
    assert again.version == version
    assert not [step for step in steps if step.stage in ("evaluate", "compare")]

    tuner.adapter = lora_paths["red"]
    worse = await train()
    assert worse.version.number == 2
    assert not worse.is_live
    assert not worse.version.gate.passed
    assert "Against oracle@1" in worse.version.gate.reasons[0]
    live = project.specialists.live("oracle")
    assert live is not None
    assert live.number == 1


async def test_killed_while_tuning_it_goes_on_and_with_other_rows_it_begins_anew(
    project: Project, agent: Agent[Any], tmp_path: Path
) -> None:
    notes: list[str] = []

    async def train(dies_at: int, given: tuple[Row, ...]) -> Tuner:
        tuner = Tuner(tmp_path / "none", dies_at=dies_at)
        with pytest.raises(KilledError):
            await specialise(
                agent, given, project=project, tune=tuner, progress=lambda at: notes.append(at.text)
            )
        return tuner

    assert (await train(1, rows(30))).found == []
    assert (await train(2, rows(30))).found == ["step1"]
    assert not any("begun anew" in note for note in notes)
    assert (await train(1, rows(31))).found == []
    assert any("begun anew" in note for note in notes)
    notes.clear()
    assert "step1" in (await train(1, rows(30))).found, "what was begun with other rows was kept aside"
    assert not any("begun anew" in note for note in notes)


async def test_a_rationale_is_a_second_thing_to_learn_under_a_prompt_of_its_own(
    project: Project, agent: Agent[Any], tmp_path: Path
) -> None:
    given = [replace(row, rationale="It was seen.") if row.number == 1 else row for row in rows(30)]
    tuner = Tuner(tmp_path / "none", dies_at=1)
    with pytest.raises(KilledError):
        await specialise(agent, given, held_out=rows(3, word="Would {} {}?"), project=project, tune=tuner)
    answer, why = tuner.lessons[:2]
    assert len(tuner.lessons) == 31
    assert (answer.answer, why.answer) == ('"no"', "It was seen.")
    assert answer.messages[1] == why.messages[1]
    assert answer.messages[0] != why.messages[0]


async def test_one_training_of_an_agent_at_a_time_and_cancelling_ends_it_within_a_step(
    project: Project, agent: Agent[Any], tmp_path: Path
) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), list[BaseException]()

    def slow(
        rows: Sequence[TuneRow], base: Path, work: Path, settings: TuneSettings, progress: TuneReport | None
    ) -> Tuned:
        assert progress is not None
        begun.set()
        go_on.wait(20)
        try:
            progress(TuneProgress(steps_done=1, steps_planned=9, seconds_left=9.0, loss=1.0))
        except BaseException as error:
            ended.append(error)
            raise
        return tuned(tmp_path / "never", "", 1)

    first = asyncio.create_task(specialise(agent, rows(30), project=project, tune=slow))
    await asyncio.to_thread(begun.wait, 20)
    with pytest.raises(StorageLocked, match="oracle is being trained by process"):
        await specialise(agent, rows(30), project=project, tune=slow)
    first.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("base", "given", "error", "why"),
    [
        ("ollama:gemma3:1b", rows(30), ConfigError, "cannot be tuned"),
        ("embedded:none.gguf", rows(30), ModelMissing, "not on this machine"),
        ("embedded:smollm2:135m", rows(5), InputError, "5 rows are too few"),
        ("embedded:smollm2:135m", rows(30, expected="yes"), InputError, "same answer"),
    ],
)
async def test_what_cannot_work_is_said_before_anything_is_tuned(
    project: Project,
    agent: Agent[Any],
    base: str,
    given: tuple[Row, ...],
    error: type[Exception],
    why: str,
) -> None:
    tuner = Tuner(Path("none"))
    with pytest.raises(error, match=why):
        await specialise(agent, given, base=base, project=project, tune=tuner)
    assert tuner.calls == 0


async def test_an_agent_that_looks_things_up_is_refused(project: Project, tmp_path: Path) -> None:
    agent = Agent("oracle", job="Say no.", model="embedded:smollm2:135m", knowledge="handbook")
    with pytest.raises(ConfigError, match="it has knowledge"):
        await specialise(agent, rows(30), project=project, tune=Tuner(tmp_path / "none"))


async def test_a_data_folder_that_cannot_be_written_is_a_storage_error(
    project: Project, agent: Agent[Any], tmp_path: Path
) -> None:
    project.settings.data_path.mkdir(parents=True)
    (project.settings.data_path / "training").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        await specialise(agent, rows(30), project=project, tune=Tuner(tmp_path / "none"))


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="the extra is installed here")
async def test_without_the_extra_the_command_that_installs_it_is_named_first(
    project: Project, agent: Agent[Any]
) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'shoal\[train\]'"):
        await specialise(agent, (), project=project)


async def test_an_adapter_of_other_weights_is_not_admitted(
    project: Project, agent: Agent[Any], tiny_lora: Path
) -> None:
    foreign = tuned(tiny_lora, "sha256:other", 30)
    with pytest.raises(ConfigError, match="other weights"):
        await admit(agent, foreign, rows(30), rows(12), project=project)


class Trip(BaseModel):
    city: Verbatim


class Leg(BaseModel):
    start: Verbatim
    end: Verbatim


async def test_variants_are_learnt_from_beside_the_rows(project: Project, tiny_lora: Path) -> None:
    agent = Agent("trip-reader", job="Read a trip.", model="embedded:smollm2:135m", output=Trip)
    made = [{"input": f"to Town{n}", "expected": {"city": f"Town{n}"}} for n in range(40)]
    trips, tuner = parse_rows(enumerate(made, start=1)), Tuner(tiny_lora, dies_at=1)
    with pytest.raises(KilledError):
        await specialise(agent, trips, project=project, tune=tuner, variants=8)
    learnt = {lesson.messages[-1].content for lesson in tuner.lessons}
    assert len(tuner.lessons) > 3 * len(trips)
    assert learnt <= {row.input for row in trips}, "cities of these rows, in their one sentence"


async def test_no_variant_is_a_text_that_is_held_out(project: Project, tiny_lora: Path) -> None:
    agent = Agent("leg-reader", job="Read a leg.", model="embedded:smollm2:135m", output=Leg)
    pairs = [(a, b) for a in range(7) for b in range(7) if a != b]
    made = [
        {"input": f"from Town{a} to Town{b}", "expected": {"start": f"Town{a}", "end": f"Town{b}"}}
        for a, b in pairs
    ]
    legs = parse_rows(enumerate(made, start=1))
    learnt_from, held_out, tuner = legs[::2], legs[1::2], Tuner(tiny_lora, dies_at=1)
    with pytest.raises(KilledError):
        await specialise(agent, learnt_from, held_out=held_out, project=project, tune=tuner, variants=8)
    learnt = {lesson.messages[-1].content for lesson in tuner.lessons}
    assert len(tuner.lessons) > 2 * len(learnt_from)
    assert not learnt & {row.input for row in held_out}


async def test_variants_of_answers_that_quote_nothing_are_refused_before_the_tuning(
    project: Project, agent: Agent[Any], tiny_lora: Path
) -> None:
    tuner = Tuner(tiny_lora)
    with pytest.raises(ConfigError, match="no variants"):
        await specialise(agent, rows(60), project=project, tune=tuner, variants=2)
    assert tuner.calls == 0
