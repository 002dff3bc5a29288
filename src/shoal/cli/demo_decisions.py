"""What the policy decided over a demo: each of its four words, how often, and one case with its reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.core.decision import Action

if TYPE_CHECKING:
    from shoal.tracing.record import RunRecord, StepRow

__all__ = ["DecisionRow", "decisions"]

MEANINGS: dict[Action, str] = {
    "accept": "good enough: kept on this machine",
    "repair": "a fault that asking again can mend: the same model is asked again",
    "escalate": "not good enough: a larger model is asked",
    "abstain": "not good enough and nobody else to ask, or nobody's job: flagged for a person",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    action: Action
    meaning: str
    times: int
    example: str
    """The text of one case; empty where there is none."""
    why: str
    """Its reason."""


def decisions(records: Sequence["RunRecord"], *, has_large: bool) -> tuple[DecisionRow, ...]:
    """A row for every action, also for those that were not needed."""
    steps = [step for record in records for step in record.steps]
    rows: list[DecisionRow] = []
    for action, meaning in MEANINGS.items():
        cases = list(_cases(steps, action))
        text, why = cases[0] if cases else ("", "")
        if not cases and action == "repair":
            why = "No answer had to be given again."
        if not cases and action == "escalate":
            wished = sum(step.action == "abstain" and step.agent is not None for step in steps)
            why = "No answer had to be sent on."
            if not has_large and wished:
                why = f"{wished} of the flagged ones would be sent on, had shoal.toml a larger model (large)."
        rows.append(DecisionRow(action=action, meaning=meaning, times=len(cases), example=text, why=why))
    return tuple(rows)


def _cases(steps: Sequence["StepRow"], action: Action) -> Iterator[tuple[str, str]]:
    """Those with an agent's verdict first: they say more than the router's."""
    for step in sorted(steps, key=lambda step: step.agent is None):
        for draft in step.drafts:
            if draft.verdict.action == action:
                yield step.input, draft.verdict.reason
        if step.action == action and step.node != "consent":
            yield step.input, step.reason
