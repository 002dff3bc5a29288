"""What a team gives back: the answer, and for every subtask who did it, how surely, and what it took.

Latency, tokens and cost come from the ledger's rows of the run, so that a result never says anything else
than the ledger does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shoal.core.passage import Passage
from shoal.core.usage import Usage, add_known
from shoal.graphs.consent import ConsentRequest
from shoal.graphs.state import Outcome, Planned, Status
from shoal.tracing.record import CallRow, RunRecord

__all__ = ["Result", "Step", "Totals", "build_result", "compose_answer", "compose_part"]

PARTS = "\n\n"
"""Between the answers of two subtasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One subtask, from routing to its last verdict. Calls of every attempt at it are counted."""

    id: str
    """Of the subtask in its run: "1", "2", ..."""
    subtask: str
    """Its text."""
    agent: str | None
    """None: no agent's job fits."""
    model: str | None
    """`engine:model` that gave the answer, or the last one that tried."""
    status: Status
    escalated: bool
    confidence: float | None
    """P(acceptable), in [0, 1]; None = unknown."""
    calibrated: bool
    threshold: float | None
    """Least confidence of an accepted answer; None = none was compared with."""
    certificate: str | None
    """Id of the certificate whose promise the answer was kept under; None = uncertified."""
    why: str
    """The verdict's reason, one sentence."""
    mend: str
    """The command or line that would make it work; empty where nobody can say."""
    text: str
    """The answer as text."""
    output: Any
    """The answer as JSON values; None when it was not accepted."""
    sources: tuple[Passage, ...]
    """Passages that were looked up for it."""
    usage: Usage
    latency_s: float
    """Of its steps, one after the other: look-up, queueing, model calls, repairs."""
    cost_usd: float | None
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    latency_s: float
    """Of the whole run, from admission to answer."""
    cost_usd: float | None
    """Of the calls whose cost is known."""
    input_tokens: int | None
    output_tokens: int | None
    calls: int
    refused: int
    """Answers that would have been escalated but for the budget."""
    benefit_forgone: float | None
    """Answers that these would have made right, as far as calibration can tell; None = it cannot."""
    share_local: float | None
    """Share of answered subtasks that no large model answered; None when none was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    run_id: str
    status: Literal["done", "flagged", "waiting"]
    """flagged: at least one subtask was not answered; `answer` says which and why. waiting: for a person's
    consent; `await team.resume(run_id, consent=True)` goes on."""
    answer: str
    steps: tuple[Step, ...]
    """In the order of the request."""
    totals: Totals
    consent: tuple[ConsentRequest, ...] = ()
    """What a person is asked while the run waits."""


def build_result(
    planned: Sequence[Planned],
    outcomes: Mapping[str, Outcome],
    answer: str,
    record: RunRecord,
    consent: tuple[ConsentRequest, ...] = (),
) -> Result:
    """Join what the graph decided with what the ledger measured."""
    steps = tuple(
        _step(item, outcomes[item.subtask.id], record) for item in planned if item.subtask.id in outcomes
    )
    answered = [step for step in steps if step.status == "accepted"]
    run = record.run
    ending: Literal["done", "flagged"] = "done" if len(answered) == len(steps) else "flagged"
    return Result(
        run_id=run.id,
        status="waiting" if consent else ending,
        consent=consent,
        answer=answer,
        steps=steps,
        totals=Totals(
            latency_s=(run.ended_at or run.started_at) - run.started_at,
            cost_usd=add_known(*(call.cost_usd for call in record.calls)),
            input_tokens=_count(call.input_tokens for call in record.calls),
            output_tokens=_count(call.output_tokens for call in record.calls),
            calls=len(record.calls),
            refused=len(record.refused),
            benefit_forgone=add_known(*(row.benefit for row in record.refused)),
            share_local=sum(not step.escalated for step in answered) / len(answered) if answered else None,
        ),
    )


def compose_answer(steps: Sequence[Step]) -> str:
    """The answers in the order of the request, saying what was not answered and why."""
    alone = len(steps) == 1
    return PARTS.join(
        compose_part(step.text, step.status, subtask=step.subtask, why=step.why, alone=alone)
        for step in steps
    )


def compose_part(text: str, status: Status, *, subtask: str, why: str, alone: bool) -> str:
    """What an answer says of one subtask; `alone`: it is the whole request."""
    if status == "accepted":
        return text
    about = "" if alone else f" «{subtask}»"
    return f"Not answered{about}: {why}"


def _step(item: Planned, outcome: Outcome, record: RunRecord) -> Step:
    rows = [row for row in record.steps if row.subtask_id == item.subtask.id]
    ids = {row.id for row in rows}
    calls = [call for call in record.calls if call.step_id in ids]
    return Step(
        id=item.subtask.id,
        subtask=item.subtask.text,
        agent=outcome.agent,
        model=outcome.model,
        status=outcome.status,
        escalated=outcome.escalated,
        confidence=outcome.verdict.confidence,
        calibrated=outcome.verdict.calibrated,
        threshold=outcome.verdict.threshold,
        certificate=outcome.verdict.certificate,
        why=outcome.verdict.reason,
        mend=outcome.mend,
        text=outcome.text,
        output=outcome.output,
        sources=outcome.passages,
        usage=_add_usage(calls),
        latency_s=sum(row.latency_s or 0.0 for row in rows),
        cost_usd=add_known(*(call.cost_usd for call in calls)),
        calls=len(calls),
    )


def _add_usage(calls: Sequence[CallRow]) -> Usage:
    return Usage(
        input_tokens=_count(call.input_tokens for call in calls),
        output_tokens=_count(call.output_tokens for call in calls),
        cached_tokens=_count(call.cached_tokens for call in calls),
        queue_s=add_known(*(call.queue_s for call in calls)),
        load_s=add_known(*(call.load_s for call in calls)),
        prefill_s=add_known(*(call.prefill_s for call in calls)),
        decode_s=add_known(*(call.decode_s for call in calls)),
        first_token_s=calls[0].first_token_s if calls else None,
    )


def _count(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
