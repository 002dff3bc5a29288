"""Rows to learn from, out of the ledger: what people corrected, what the large model answered, what was kept.

Pure: steps in, rows and a report out; `harvest_file` scrubs and writes them. What a person said counts more
than what a model said, and the large model more than the small one. Answers of one rank that contradict each
other are all left out, and named: a person can settle it with a correction.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shoal.agents.row import canonical
from shoal.agents.spec import AgentSpec
from shoal.agents.validation import parse_output
from shoal.core.errors import OutputInvalid
from shoal.router.example import text_key
from shoal.tracing.record import StepRow

__all__ = [
    "FORBIDDEN",
    "SOURCES",
    "Contradiction",
    "Harvest",
    "HarvestRow",
    "Source",
    "collect",
    "denied_texts",
    "harvest_thread",
    "origin",
]

Source = Literal["corrected", "large", "labelled", "accepted"]
SOURCES: tuple[Source, ...] = ("corrected", "large", "labelled", "accepted")
"""corrected: by a person. large: the large model was asked in a run. labelled: it was asked by a harvest.
accepted: the small model's own answer was kept."""
FORBIDDEN = "a person forbade showing it to the large model"
"""Why a text is left out."""
RANK = {"corrected": 2, "large": 1, "labelled": 1, "accepted": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestRow:
    input: str
    expected: Any
    source: Source
    run_id: str
    step_id: str
    """Of the step that gave the answer."""
    rationale: str | None = None
    samples: tuple[Any, ...] = ()
    """Further answers of the teacher."""
    origin: str = ""
    """Of a labelled row: `origin` of the text that was scrubbed for it; empty = not in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    input: str
    answers: tuple[tuple[str, Any], ...]
    """Run and answer."""


@dataclass(slots=True, kw_only=True)
class Harvest:
    rows: tuple[HarvestRow, ...] = ()
    """In order of time."""
    answers: int = 0
    """Looked at: subtasks of this agent."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Reasons."""
    duplicates: int = 0
    """The same text with the same answer again."""
    overruled: int = 0
    """Another answer to the same text counts more."""
    contradictions: tuple[Contradiction, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, int]:
        """Rows by where their answer comes from."""
        return dict(Counter(row.source for row in self.rows))


@dataclass(slots=True)
class _Subtask:
    """What the ledger has of one piece of work; the latest step of each sort."""

    local: StepRow | None = None
    large: StepRow | None = None
    label: StepRow | None = None
    correction: StepRow | None = None
    denied: bool = False
    rationale: str | None = None
    samples: list[str] = field(default_factory=list[str])


def harvest_thread(agent: str) -> str:
    """The thread under which the ledger keeps the harvests of an agent."""
    return f"harvest/{agent}"


def origin(key: str) -> str:
    """16 hex digits that stand for the `text_key` of a text beside what it was scrubbed to."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:16]


def collect(
    steps: Iterable[StepRow],
    agent: AgentSpec[Any],
    *,
    sources: Collection[Source] = SOURCES,
    min_confidence: float,
    since: float = 0.0,
    elsewhere: Collection[str] = (),
) -> Harvest:
    """Rows from the steps of runs in which the agent worked.

    Args:
        steps: in order of time, of any agents.
        agent: whose rows these are to be; answers have to fit its output type as it is now.
        sources: which answers to take.
        min_confidence: of the agent's own answers, in [0, 1].
        since: seconds since 1970; earlier answers are not looked at, what was forbidden earlier still is.
        elsewhere: `text_key`s of texts that a person gave to another agent, or to nobody.
    """
    steps = list(steps)
    work = _subtasks([step for step in steps if step.started_at >= since], agent.name)
    denied = denied_texts(steps)
    denied |= {origin(key) for key in denied}
    harvest = Harvest(answers=len(work))
    rows: list[HarvestRow] = []
    for subtask in work:
        found = _take(subtask, agent, sources, min_confidence)
        if isinstance(found, HarvestRow):
            found = _forbidden(found, denied, elsewhere) or found
        if isinstance(found, str):
            harvest.left_out[found] += 1
        else:
            rows.append(found)
    _settle(rows, harvest)
    harvest.notes = _notes(agent)
    return harvest


def _forbidden(row: HarvestRow, denied: Collection[str], elsewhere: Collection[str]) -> str | None:
    """`denied` are `text_key`s of texts, and their `origin`s."""
    key = text_key(row.input)
    if row.source in ("large", "labelled") and (key in denied or row.origin in denied):
        return FORBIDDEN
    if row.source != "corrected" and key in elsewhere:
        return "a person gave its text to another agent"
    return None


def denied_texts(steps: Iterable[StepRow]) -> frozenset[str]:
    """`text_key`s of the texts that a person did not let go to the large model, in any run."""
    texts: dict[tuple[str, str | None], str] = {}
    denied: set[tuple[str, str | None]] = set()
    for step in steps:
        place = (step.run_id, step.subtask_id)
        if step.node == "consent" and step.action == "abstain":
            denied.add(place)
        elif step.agent is not None:
            texts[place] = step.input
    return frozenset(text_key(texts[place]) for place in denied & texts.keys())


def _subtasks(steps: Iterable[StepRow], agent: str) -> list[_Subtask]:
    """In order of their first step."""
    work: dict[tuple[str, str | None], _Subtask] = defaultdict(_Subtask)
    mine: list[tuple[str, str | None]] = []
    for step in steps:
        place = (step.run_id, step.subtask_id)
        subtask = work[place]
        match step:
            case StepRow(node="correction"):
                subtask.correction = step
            case StepRow(node="label"):
                subtask.label = step
            case StepRow(node="sample") if step.action == "accept" and step.output is not None:
                subtask.samples.append(step.output)
            case StepRow(node="rationale") if step.output:
                subtask.rationale = step.output
            case StepRow(agent=name) if name == agent and step.escalated:
                subtask.large = step
            case StepRow(agent=name) if name == agent:
                subtask.local = step
            case _:
                continue
        if place not in mine[-1:]:
            mine.append(place)
    worked = [work[place] for place in dict.fromkeys(mine)]
    return [each for each in worked if each.local or each.large or each.label]


def _take(
    subtask: _Subtask, agent: AgentSpec[Any], sources: Collection[Source], min_confidence: float
) -> HarvestRow | str:
    """The best answer there is, or why there is none."""
    source, step = _best(subtask)
    if step is None:
        return "no answer was accepted"
    if source not in sources:
        return f"{source} answers were not asked for"
    if source == "accepted" and (step.confidence is None or step.confidence < min_confidence):
        return f"the confidence in the agent's own answer is unknown or below {min_confidence:g}"
    try:
        expected = _answer(agent, step.output or "", step.input)
        samples = tuple(_answer(agent, sample, step.input) for sample in subtask.samples)
    except OutputInvalid:
        return "the answer does not fit what the agent answers today"
    if expected in (None, ""):
        return "the answer is empty"
    return HarvestRow(
        input=step.input,
        expected=expected,
        source=source,
        run_id=step.run_id,
        step_id=step.id,
        rationale=subtask.rationale,
        samples=samples,
        # The teacher's places are "number/origin".
        origin=(step.subtask_id or "").partition("/")[2] if source == "labelled" else "",
    )


def _best(subtask: _Subtask) -> tuple[Source, StepRow | None]:
    if subtask.correction is not None:
        return "corrected", subtask.correction
    if subtask.large is not None and subtask.large.action == "accept":
        return "large", subtask.large
    if subtask.label is not None and subtask.label.action == "accept":
        return "labelled", subtask.label
    kept = subtask.local is not None and subtask.local.action == "accept"
    return "accepted", subtask.local if kept else None


def _answer(agent: AgentSpec[Any], text: str, asked: str) -> Any:
    return agent.adapter.dump_python(parse_output(agent, text, asked), mode="json")


def _settle(rows: Sequence[HarvestRow], harvest: Harvest) -> None:
    """One row a text: the answer that counts most, the latest one of a person's."""
    by_text: dict[str, list[HarvestRow]] = defaultdict(list)
    for row in rows:
        by_text[text_key(row.input)].append(row)
    kept: list[HarvestRow] = []
    contradictions: list[Contradiction] = []
    for same in by_text.values():
        rank = max(RANK[row.source] for row in same)
        best = [row for row in same if RANK[row.source] == rank]
        if rank == RANK["corrected"]:
            best = [row for row in best if canonical(row.expected) == canonical(best[-1].expected)]
        answers = {canonical(row.expected): row for row in best}
        if len(answers) > 1:
            each = tuple((row.run_id, row.expected) for row in answers.values())
            contradictions.append(Contradiction(input=same[0].input, answers=each))
            harvest.left_out["answers contradict each other"] += len(same)
            continue
        kept.append(best[-1])
        equal = sum(canonical(row.expected) in answers for row in same)
        harvest.duplicates += equal - 1
        harvest.overruled += len(same) - equal
    order = {row.step_id: place for place, row in enumerate(rows)}
    harvest.rows = tuple(sorted(kept, key=lambda row: order[row.step_id]))
    harvest.contradictions = tuple(contradictions)


def _notes(agent: AgentSpec[Any]) -> tuple[str, ...]:
    """What the ledger does not keep."""
    notes: list[str] = []
    if agent.knowledge is not None:
        notes.append(f"passages from {agent.knowledge} were read as well, and are not in the rows")
    if agent.tools:
        notes.append("what tools gave was read as well, and is not in the rows")
    return tuple(notes)
