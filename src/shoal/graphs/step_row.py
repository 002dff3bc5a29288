"""What a node's step leaves in the ledger, from its beginning to its verdict."""

import time
from dataclasses import replace

from shoal.core.decision import Judged
from shoal.graphs.state import Outcome, Planned
from shoal.tracing.record import StepRow, new_id

__all__ = ["begin_step", "broken_off", "end_step"]


def begin_step(run_id: str, node: str, planned: Planned, *, agent: str | None, escalated: bool) -> StepRow:
    return StepRow(
        id=new_id(),
        run_id=run_id,
        node=node,
        started_at=time.time(),
        subtask_id=planned.subtask.id,
        agent=agent,
        input=planned.subtask.text,
        decision=planned.decision,
        escalated=escalated,
    )


def end_step(
    step: StepRow,
    outcome: Outcome,
    latency_s: float,
    drafts: tuple[Judged, ...] = (),
) -> StepRow:
    verdict = outcome.verdict
    return replace(
        step,
        signals=outcome.signals,
        action=verdict.action,
        reason=verdict.reason,
        confidence=verdict.confidence,
        calibrated=verdict.calibrated,
        threshold=verdict.threshold,
        certificate=verdict.certificate,
        benefit=verdict.benefit,
        alternatives=outcome.alternatives,
        drafts=drafts,
        ended_at=step.started_at + latency_s,
        latency_s=latency_s,
        output=outcome.text,
    )


def broken_off(step: StepRow, error: Exception) -> StepRow:
    ended_at = time.time()
    return replace(
        step,
        ended_at=ended_at,
        latency_s=ended_at - step.started_at,
        error_class=type(error).__name__,
        error=str(error),
    )
