"""Labelled rows to labelled attempts: each row goes where the router sends it, and its answer is graded.

The way is that of a run: the same router, prompt, look-up, checks and repairs. Only escalation is left out,
because it is what the attempts are to decide.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from shoal.agents import Agent, Attempt, Judge, Probe, Runtime, Task, attempt_events
from shoal.agents.row import ROW, load_values
from shoal.core.decision import Decision
from shoal.core.errors import (
    ConfigError,
    DeadlineExceeded,
    EngineDown,
    InputError,
    ModelError,
    ModelMissing,
    Overloaded,
    RunError,
)
from shoal.core.port import ChatModel, RoutePort
from shoal.evaluation.extraction import plain_text
from shoal.router.escalation import LabelledAttempt
from shoal.tracing.scope import scope

__all__ = [
    "Bench",
    "Grader",
    "Labelled",
    "LabelledRow",
    "is_expected",
    "label_rows",
    "load_rows",
    "parse_rows",
]

AT_ONCE = 4
NOT_THE_ROWS = (EngineDown, ModelMissing, Overloaded)
"""Failures that say nothing about the row: every other would have met them."""
Grader = Callable[[str, Any, Any], bool]
"""(input, output, expected) -> is the output acceptable?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRow:
    input: str
    expected: Any = ...
    """What the grader compares with; for a text also a list of texts, any of which will do. `...` = the row
    does not say, which only a grader can make do with: it is given None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What rows are worked on with."""

    agents: Mapping[str, Agent[Any]]
    router: RoutePort
    runtime: Runtime
    judge: Judge
    probe: Probe
    large: str | ChatModel | None
    """Asked for every row as well, to learn where it does better; None = not asked."""
    grader: Grader | None
    """None: the answer equals what is expected; see `is_expected`."""
    only: str | None = None
    """The one agent that is to be calibrated; None = all."""


@dataclass(slots=True)
class Labelled:
    attempts: dict[str, list[LabelledAttempt]] = field(default_factory=dict[str, list[LabelledAttempt]])
    """Per agent."""
    models: dict[str, set[str | None]] = field(default_factory=dict[str, set[str | None]])
    """Per agent, digests of the weights that answered."""
    nobody: int = 0
    """Rows that the router sent to nobody."""
    elsewhere: int = 0
    """Rows that went to other agents than the one to be calibrated."""
    asked: Counter[str] = field(default_factory=Counter[str])
    """Per model, rows that it was given."""
    failures: dict[str, list[ModelError]] = field(default_factory=dict[str, list[ModelError]])
    """Per model, why it gave no answer to some of them: these rows count as not acceptable."""


async def label_rows(rows: Sequence[LabelledRow], bench: Bench) -> Labelled:
    """Answer and grade all rows, a few at a time.

    Raises:
        InputError: there are no rows, one occurs twice, or one does not say what is expected and there is no
            grader.
        ConfigError: a row's `expected` does not have the shape of its agent's answers, or the grader raised.
        ModelError: a model is not there, or it failed on every row; a row that it merely fails on counts as
            not acceptable.
    """
    _check(rows, bench.grader)
    labelled = Labelled()
    places = asyncio.Semaphore(AT_ONCE)

    async def work(row: LabelledRow) -> None:
        decision = bench.router.decide(row.input)
        if decision.agent is None:
            labelled.nobody += 1
        elif bench.only not in (None, decision.agent):
            labelled.elsewhere += 1
        else:
            async with places:
                await _label(row, decision, bench, labelled)

    try:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(work(row))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    _check_answers(labelled)
    return labelled


def is_expected(agent: Agent[Any], output: Any, expected: Any) -> bool:
    """Whether an output is what a row expects: equal values, or texts that differ in case and spacing only.

    Raises:
        ConfigError: `expected` does not have the shape of the agent's answers.
    """
    if agent.output is str:
        accepted = cast("list[object]", expected) if isinstance(expected, list) else [expected]
        return plain_text(output) in {plain_text(one) for one in accepted}
    try:
        wanted = agent.adapter.validate_python(expected)
    except ValueError as error:
        raise ConfigError(
            f"a row expects {expected!r} of {agent.name}, which never answers so",
            why=str(error),
            mend='write what the agent should answer, as JSON: {"input": "...", "expected": {...}}',
        ) from error
    dump = agent.adapter.dump_python
    return dump(output, mode="json") == dump(wanted, mode="json")


def load_rows(path: Path) -> tuple[LabelledRow, ...]:
    """Rows of a JSONL or JSONL.gz file; the input may also be called "text".

    Raises:
        InputError: the file cannot be read, or a line of it is no row.
    """
    return parse_rows(value for _, value in load_values(path))


def parse_rows(values: Iterable[LabelledRow | Mapping[str, Any]]) -> tuple[LabelledRow, ...]:
    """Rows, or mappings with "input" (or "text") and, where no grader does without it, "expected".

    Raises:
        InputError: one has no input.
    """
    rows: list[LabelledRow] = []
    for number, value in enumerate(values, start=1):
        if isinstance(value, LabelledRow):
            rows.append(value)
            continue
        text = value.get("input", value.get("text")) if isinstance(value, Mapping) else None  # pyright: ignore[reportUnnecessaryIsInstance]  JSON can be anything
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"labelled row {number} has no input", mend=f"write {ROW}")
        rows.append(LabelledRow(input=text, expected=value.get("expected", ...)))
    return tuple(rows)


def _check(rows: Sequence[LabelledRow], grader: Grader | None) -> None:
    if not rows:
        raise InputError(
            "there are no labelled rows", why="a promise rests on counted answers", mend=f"write {ROW}"
        )
    twice = [text for text, times in Counter(row.input for row in rows).items() if times > 1]
    if twice:
        raise InputError(
            f"{len(twice)} labelled rows occur more than once, first {twice[0][:60]!r}",
            why="a row that is fitted on and tested on makes the promise false",
            mend="remove the duplicates",
        )
    mute = [row.input for row in rows if row.expected is ...]
    if mute and grader is None:
        raise InputError(
            f"{len(mute)} labelled rows do not say what is expected, first {mute[0][:60]!r}",
            why="without a grader an answer is acceptable when it equals what is expected",
            mend=f"write {ROW}, or give a grader",
        )


def _check_answers(labelled: Labelled) -> None:
    """Raise the failure of a model that failed on every row: then it is no row's, and nothing was learnt.

    One that was always too slow is not refused: in a run it would be as slow.
    """
    for model, failures in labelled.failures.items():
        last = failures[-1]
        if len(failures) == labelled.asked[model] and not isinstance(last, DeadlineExceeded):
            raise last


async def _label(row: LabelledRow, decision: Decision, bench: Bench, labelled: Labelled) -> None:
    agent = bench.agents[str(decision.agent)]
    attempt = await _attempt(row, agent, decision, bench, labelled)
    large = None
    if bench.large is not None:
        answer = await _attempt(row, agent.asking(bench.large), decision, bench, labelled)
        large = _accepts(row, agent, answer, bench.grader)
    signals = attempt.signals
    if attempt.output is None:
        signals = replace(signals, empty=True)  # never kept, whatever else was seen
    labelled.attempts.setdefault(agent.name, []).append(
        LabelledAttempt(
            key=row.input,
            signals=signals,
            acceptable=_accepts(row, agent, attempt, bench.grader),
            large_acceptable=large,
        )
    )
    if attempt.response is not None:
        labelled.models.setdefault(agent.name, set()).add(attempt.response.made_by)


async def _attempt(
    row: LabelledRow, agent: Agent[Any], decision: Decision, bench: Bench, labelled: Labelled
) -> Attempt[Any]:
    task = Task(
        agent=agent,
        text=row.input,
        runtime=bench.runtime,
        judge=bench.judge,
        decision=decision,
        purpose="calibration",
        probe=bench.probe,
    )
    with scope(agent=agent.name):
        async with aclosing(attempt_events(task)) as events:
            async for event in events:
                if isinstance(event, Attempt):
                    _count(event, labelled)
                    return event
    raise RunError(f"{agent.name} ended without an attempt")


def _count(attempt: Attempt[Any], labelled: Labelled) -> None:
    labelled.asked[attempt.model] += 1
    if isinstance(attempt.failure, NOT_THE_ROWS):
        raise attempt.failure
    if isinstance(attempt.failure, ModelError):
        labelled.failures.setdefault(attempt.model, []).append(attempt.failure)


def _accepts(row: LabelledRow, agent: Agent[Any], attempt: Attempt[Any], grader: Grader | None) -> bool:
    if attempt.output is None:
        return False
    if grader is None:
        return is_expected(agent, attempt.output, row.expected)
    try:
        return bool(grader(row.input, attempt.output, None if row.expected is ... else row.expected))
    except Exception as error:
        raise ConfigError(
            "the grader failed",
            why=f"{type(error).__name__}: {error}",
            mend="let grader(input, output, expected) return True or False for every row",
        ) from error
