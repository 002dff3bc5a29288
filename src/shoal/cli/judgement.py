"""How an attempt was judged, for a person: what was seen, the threshold, the verdict and its alternatives."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shoal.cli.output import usd
from shoal.core.usage import add_known

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.core.decision import Signals, Verdict
    from shoal.tracing.record import EscalationRow, RunRecord, StepRow

__all__ = ["forgone", "show_escalations", "show_judgement"]

BY_PERSON = frozenset({"consent", "correction"})
"""Nodes that stand for what a person decided."""


def show_judgement(out: "Console", step: "StepRow") -> None:
    """One line an attempt, drafts that were asked for again first, and what was seen of each."""
    by_person = step.node in BY_PERSON
    who = f"{step.subtask_id or '-'} {step.agent or ('a person' if by_person else 'nobody')}"
    if step.escalated:
        who += " (the large model)"
    for draft in step.drafts:
        out.print(f"{who}: {draft.verdict.action} · {_sureness(draft.verdict)}", style="yellow", markup=False)
        _print_dim(out, _seen(draft.signals), draft.verdict.reason)
    sure = "" if by_person else f" · {_sureness(step)}"
    out.print(f"{who}: {step.action}{sure}", markup=False)
    lines = [_seen(step.signals)] if step.signals is not None and step.agent is not None else []
    if step.alternatives:
        costs = ", ".join(f"{action} {usd(cost)}" for action, cost in step.alternatives.items())
        lines.append(f"predicted cost: {costs}")
    if step.benefit is not None:
        lines.append(f"the large model is likelier to be right by {step.benefit:+.2f}")
    _print_dim(out, *lines, step.reason)


def show_escalations(out: "Console", record: "RunRecord") -> None:
    """Every call of the large model that was wished for, and what it cost that some were refused."""
    for row in record.escalations:
        out.print(f"escalation of {row.agent} to {row.model}: {_took(row)}", markup=False, soft_wrap=True)
    if record.refused:
        benefit = add_known(*(row.benefit for row in record.refused))
        out.print(forgone(len(record.refused), benefit), style="yellow", soft_wrap=True)


def forgone(refused: int, benefit: float | None) -> str:
    """What a budget cost in quality; `benefit` None = nobody knows."""
    cost = "what that cost in quality is unknown" if benefit is None else f"about {benefit:.2f} right answers"
    return f"the budget refused {refused} escalation{'s' if refused > 1 else ''}: {cost}"


def _took(row: "EscalationRow") -> str:
    if row.refusal is not None:
        benefit = "" if row.benefit is None else f" · expected benefit {row.benefit:+.2f} forgone"
        return f"refused · {row.refusal}{benefit}"
    if row.settled_at is None:
        return f"granted, not ended · at most {usd(row.most_usd)}"
    spent = f"{usd(row.usd)}" if row.usd is not None else f"cost unknown, booked at {usd(row.most_usd)}"
    return f"granted · {spent} of at most {usd(row.most_usd)}"


def _sureness(judged: "StepRow | Verdict") -> str:
    sure = "confidence unknown" if judged.confidence is None else f"confidence {judged.confidence:.2f}"
    limit = "" if judged.threshold is None else f" · threshold {judged.threshold:.2f}"
    named = f"certificate {judged.certificate}" if judged.certificate else "uncertified"
    return f"{sure}{limit} · {named}"


def _seen(signals: "Signals") -> str:
    return "seen: " + (", ".join(_named(signals)) or "nothing")


def _named(signals: "Signals") -> Iterator[str]:
    from shoal.router.escalation.signal import SIGNALS

    for signal in SIGNALS:
        value = signal.value(signals)
        if value is not None:
            yield f"{signal.name} {value:.3g}"
    if signals.schema_valid is not None:
        yield "right shape" if signals.schema_valid else "wrong shape"
    for fault in ("refusal", "empty", "truncated"):
        if getattr(signals, fault):
            yield fault
    yield from (f"check {name} failed" for name in signals.checks_failed)


def _print_dim(out: "Console", *lines: str) -> None:
    for line in lines:
        out.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
