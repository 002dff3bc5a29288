"""From attempts and decisions to what became of a subtask. Pure."""

from dataclasses import replace
from typing import Any, Literal

from shoal.agents import Agent, Attempt
from shoal.core.decision import Decision, Signals, Verdict
from shoal.core.errors import OverBudget
from shoal.core.passage import Passage
from shoal.graphs.state import Outcome, Planned

__all__ = ["flag", "flag_over_budget", "foreseen", "settle", "settle_large", "unrouted"]


def unrouted(item: Planned) -> Outcome:
    decision: Decision = item.decision
    return Outcome(
        subtask_id=item.subtask.id,
        agent=None,
        model=None,
        text="",
        status="flagged",
        escalated=False,
        verdict=Verdict(
            action="abstain",
            reason=decision.reason or "no agent's job fits",
            confidence=decision.confidence,
            calibrated=decision.calibrated,
            threshold=decision.threshold,
        ),
        signals=Signals(router_confidence=decision.confidence, router_margin=decision.margin),
    )


def settle(planned: Planned, attempt: Attempt[Any], agent: Agent[Any], *, escalated: bool) -> Outcome:
    usable = attempt.accepted and attempt.output is not None
    status: Literal["accepted", "pending", "flagged"] = "flagged"
    if usable:
        status = "accepted"
    elif attempt.verdict.action == "escalate":
        status = "pending"
    return Outcome(
        subtask_id=planned.subtask.id,
        agent=attempt.agent,
        model=attempt.model,
        text=attempt.text,
        output=agent.adapter.dump_python(attempt.output, mode="json") if usable else None,
        status=status,
        escalated=escalated,
        verdict=attempt.verdict,
        mend=attempt.failure.mend if attempt.failure else "",
        signals=attempt.signals,
        passages=attempt.passages,
    )


def foreseen(
    planned: Planned, agent: str, signals: Signals, verdict: Verdict, context: tuple[Passage, ...]
) -> Outcome:
    """What becomes of a subtask whose agent is not asked."""
    return Outcome(
        subtask_id=planned.subtask.id,
        agent=agent,
        model=None,
        text="",
        status="pending",
        escalated=False,
        verdict=verdict,
        signals=signals,
        passages=context,
    )


def settle_large(planned: Planned, attempt: Attempt[Any], agent: Agent[Any], local: Outcome) -> Outcome:
    """What the large model's attempt comes to. Where it said nothing, a person sees the local answer."""
    if isinstance(attempt.failure, OverBudget) and attempt.response is None:
        return flag_over_budget(local, attempt.failure.what, mend=attempt.failure.mend)
    outcome = settle(planned, attempt, agent, escalated=True)
    return outcome if outcome.text else outcome.model_copy(update={"text": local.text})


def flag_over_budget(local: Outcome, reason: str, *, mend: str) -> Outcome:
    return flag(local, f"It was not asked: {reason}.", mend=mend)


def flag(local: Outcome, why: str, *, mend: str = "") -> Outcome:
    """A local answer that should have been escalated, and may not be."""
    verdict = replace(local.verdict, action="abstain", reason=f"{local.verdict.reason} {why}")
    return local.model_copy(update={"status": "flagged", "verdict": verdict, "mend": mend})
