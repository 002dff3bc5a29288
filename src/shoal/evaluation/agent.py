"""One agent on rows that say what it should answer: how right, how sure, how fast, at what cost.

The way is that of a run: the same prompt, look-up, checks and repairs. Only routing and escalation are left
out, because the agent itself is measured. Tokens, cost and energy are read from the ledger, where the whole
evaluation is one run.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from shoal.agents import Agent, Attempt, Judge, Runtime, Task, attempt_events
from shoal.agents.row import Row, fit_expected
from shoal.core.errors import ContextOverflow, DeadlineExceeded, InputError, ModelError, RunError
from shoal.evaluation.cascade_curve import auroc, interval
from shoal.evaluation.extraction import RowScore, Scores, score_row, score_text, summarise
from shoal.tracing.record import RunRow, new_id
from shoal.tracing.scope import scope
from shoal.tracing.totals import AgentTotals, percentile

__all__ = ["Answer", "Confidence", "Evaluation", "evaluate_agent", "share_kept"]

AT_ONCE = 4
BEARABLE = 0.05
"""Share of errors at which it is looked, in hindsight, how much could have been kept."""
TEAM = "evaluation"
Progress = Callable[[int, int], None]
"""Called with rows answered and rows in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one row."""

    row: Row
    expected: Any
    """As the agent would say it, where its output type allows it; else as the row says it."""
    output: Any
    """As JSON; None where `valid` is False."""
    score: RowScore
    confidence: float | None
    latency_ms: float
    """Look-up, calls and repairs, without waiting for a place at the model."""
    failure: str | None
    """Why there is no usable answer."""
    faulty: bool
    """Of the wrong shape, or it failed a check: nobody would have kept it."""
    fits: bool
    """What the row expects is something the agent can say."""

    def prediction(self) -> dict[str, Any]:
        """For a file, one a row."""
        return {
            "input": self.row.input,
            "expected": self.expected,
            "output": self.output,
            "valid": self.score.valid,
            "exact": self.score.exact,
            "confidence": self.confidence,
            "latency_ms": self.latency_ms,
            "failure": self.failure,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How well the agent's confidence tells its exact answers from the others. None = cannot be told."""

    auroc: float | None
    auroc_interval: tuple[float, float] | None
    kept_in_hindsight: float | None
    """Share of rows that the best threshold would have kept with at most 5 % errors among them. Chosen on the
    very rows it is counted on: an upper bound, no promise; `shoal calibrate` promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    agent: str
    specialist: str | None
    """Key of the version that answered; None = the model alone."""
    model: str
    digest: str | None
    """Of what answered; None = the engine does not say."""
    scores: Scores
    confidence: Confidence
    latency_p50_ms: float
    latency_p95_ms: float
    totals: AgentTotals
    run_id: str
    """In the ledger."""
    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = field(default=())
    """What a person should know about these numbers."""

    def figures(self) -> dict[str, Any]:
        """All but the answers, as JSON."""
        scores = self.scores
        named = {name: getattr(scores, name) for name in ("exact_match", "field_f1", "valid_output")}
        around = {name: (score.low, score.high) for name, score in named.items()}
        return {
            "agent": self.agent,
            "specialist": self.specialist,
            "model": self.model,
            "digest": self.digest,
            "rows": len(self.answers),
            **{name: score.value for name, score in named.items()},
            "by_field": {
                name: {"f1": one.f1.value, "interval": (one.f1.low, one.f1.high), "expected": one.expected}
                for name, one in scores.by_field.items()
            },
            "confidence_auroc": self.confidence.auroc,
            "kept_at_5_percent_error_in_hindsight": self.confidence.kept_in_hindsight,
            "latency_ms": {"p50": self.latency_p50_ms, "p95": self.latency_p95_ms},
            "tokens": {"input": self.totals.input_tokens, "output": self.totals.output_tokens},
            "cost": self.totals.cost_usd,
            "energy": self.totals.energy_j,
            "intervals": around | {"confidence_auroc": self.confidence.auroc_interval},
            "run": self.run_id,
            "notes": self.notes,
        }


async def evaluate_agent(
    agent: Agent[Any],
    rows: Sequence[Row],
    runtime: Runtime,
    judge: Judge,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Ask every row, a few at a time, and score the answers.

    Raises:
        InputError: there are no rows, or one that no agent can work on.
        ModelError: the model is not there or does not answer. A row that does not fit into its window, or
            that it is too slow on, counts as wrong.
        ConfigError: the model does not exist or may not be used, or a check of the agent raised.
        RunError: the model changed in between.
    """
    if not rows:
        raise InputError("there are no rows to measure on", mend='write {"input": "...", "expected": ...}')
    run = RunRow(
        id=new_id(),
        team=TEAM,
        input=f"{agent.name} on {len(rows)} rows",
        status="running",
        started_at=time.time(),
    )
    await runtime.ledger.begin_run(run)
    try:
        with scope(run_id=run.id, agent=agent.name):
            done = await _ask_all(replace(agent, cache=False), rows, runtime, judge, progress)
    except BaseException as error:
        await asyncio.shield(runtime.ledger.end_run(run.id, "failed", error=error))
        raise
    await runtime.ledger.end_run(run.id, "done")
    totals = await asyncio.to_thread(runtime.ledger.totals, run_ids=[run.id])
    return _evaluation(agent, done, totals.overall, run.id)


def share_kept(confidences: Sequence[float], right: Sequence[bool], *, max_error: float) -> float:
    """Largest share of rows, surest first, of which at most `max_error` are wrong. Equals stay together."""
    order = np.argsort(-np.array(confidences), kind="stable")
    sure, wrong = np.array(confidences)[order], ~np.array(right, np.bool_)[order]
    rates = wrong.cumsum() / np.arange(1, len(wrong) + 1)
    last_of_equals = np.append(sure[1:] != sure[:-1], np.True_)
    good = np.flatnonzero((rates <= max_error) & last_of_equals)
    return float(good[-1] + 1) / len(wrong) if len(good) else 0.0


async def _ask_all(
    agent: Agent[Any], rows: Sequence[Row], runtime: Runtime, judge: Judge, progress: Progress | None
) -> list[tuple[Answer, Attempt[Any]]]:
    places, count = asyncio.Semaphore(AT_ONCE), iter(range(1, len(rows) + 1))

    async def work(row: Row) -> tuple[Answer, Attempt[Any]]:
        async with places:
            attempt = await _attempt(agent, row, runtime, judge)
        if progress is not None:
            progress(next(count), len(rows))
        return _answer(agent, row, attempt), attempt

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(row)) for row in rows]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


async def _attempt(agent: Agent[Any], row: Row, runtime: Runtime, judge: Judge) -> Attempt[Any]:
    task = Task(agent=agent, text=row.input, runtime=runtime, judge=judge, purpose="evaluation")
    try:
        async with aclosing(attempt_events(task)) as events:
            async for event in events:
                if isinstance(event, Attempt):
                    failure = event.failure
                    if isinstance(failure, ModelError) and not isinstance(
                        failure, DeadlineExceeded | ContextOverflow
                    ):
                        raise failure  # it says nothing about the agent
                    return event
    except InputError as error:
        raise InputError(f"row {row.number}: {error.what}", why=error.why, mend=error.mend) from error
    raise RunError(f"{agent.name} ended without an attempt")


def _answer(agent: Agent[Any], row: Row, attempt: Attempt[Any]) -> Answer:
    signals, usage = attempt.signals, attempt.response.usage if attempt.response else None
    waited_s = (usage.queue_s or 0.0) if usage else 0.0
    fits, expected = True, row.expected
    if agent.output is str:
        said = attempt.output if isinstance(attempt.output, str) else ""
        wanted = cast("list[object]", expected) if isinstance(expected, list) else [expected]
        output = said or None
        score = score_text(said, [str(one) for one in wanted], valid=bool(said))
    else:
        try:
            expected = fit_expected(agent, row.expected)
        except ValueError:
            fits = False
        valid = signals.schema_valid is True
        output = agent.adapter.dump_python(attempt.output, mode="json") if valid else None
        score = score_row(output, expected, valid=valid)
    return Answer(
        row=row,
        expected=expected,
        output=output,
        score=score,
        confidence=attempt.verdict.confidence,
        latency_ms=max(0.0, attempt.latency_s - waited_s) * 1000,
        failure=attempt.failure.what if attempt.failure else None,
        faulty=not score.valid or bool(signals.checks_failed),
        fits=fits,
    )


def _evaluation(
    agent: Agent[Any], done: Sequence[tuple[Answer, Attempt[Any]]], totals: AgentTotals, run_id: str
) -> Evaluation:
    answers = tuple(answer for answer, _ in done)
    digests = {attempt.response.digest for _, attempt in done if attempt.response is not None}
    if len(digests) > 1:
        raise RunError(f"the model of {agent.name} changed while it was measured", mend="measure it again")
    latencies = sorted(answer.latency_ms for answer in answers)
    return Evaluation(
        agent=agent.name,
        specialist=agent.specialist.key if agent.specialist else None,
        model=done[0][1].model,
        digest=next(iter(digests), None),
        scores=summarise([answer.score for answer in answers]),
        confidence=_confidence(answers),
        latency_p50_ms=percentile(latencies, 0.5) or 0.0,
        latency_p95_ms=percentile(latencies, 0.95) or 0.0,
        totals=totals,
        run_id=run_id,
        answers=answers,
        notes=tuple(_notes(agent, answers)),
    )


def _confidence(answers: Sequence[Answer]) -> Confidence:
    """A faulty answer is not kept, so it is as unsure as can be; one without a fault and of unknown
    confidence makes all of it unknown.
    """
    usable = [answer for answer in answers if not answer.faulty]
    if not usable or any(answer.confidence is None for answer in usable):
        return Confidence(auroc=None, auroc_interval=None, kept_in_hindsight=None)
    sure = [-1.0 if answer.faulty else (answer.confidence or 0.0) for answer in answers]
    right = [answer.score.exact for answer in answers]
    values, flags = np.array(sure), np.array(right)
    return Confidence(
        auroc=auroc(values, flags),
        auroc_interval=interval(lambda pick: auroc(values[pick], flags[pick]), len(values)),
        kept_in_hindsight=share_kept(sure, right, max_error=BEARABLE),
    )


def _notes(agent: Agent[Any], answers: Sequence[Answer]) -> list[str]:
    notes: list[str] = []
    strange = [answer.row.number for answer in answers if not answer.fits]
    if strange:
        notes.append(
            f"{len(strange)} rows expect what the output type of {agent.name} does not allow, so that they"
            f" are wrong whatever it answers: {_first(strange)}"
        )
    twice = sum(times - 1 for times in Counter(answer.row.input for answer in answers).values())
    if twice:
        notes.append(f"{twice} rows repeat the text of another one; each counts")
    failures = Counter(answer.failure for answer in answers if answer.failure)
    notes += [f"{times} of {len(answers)} rows: {why}" for why, times in failures.most_common()]
    if any(answer.confidence is not None for answer in answers):
        notes.append("confidence is uncalibrated: it orders answers, it promises nothing")
    return notes


def _first(numbers: Sequence[int]) -> str:
    more = ", ..." if len(numbers) > 5 else ""
    return f"rows {', '.join(map(str, numbers[:5]))}{more}"
