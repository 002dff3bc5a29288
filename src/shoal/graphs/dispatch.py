"""Which subtasks go where next. Pure: from the state alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from shoal.core.passage import Passage
from shoal.graphs.state import Outcome, Planned

__all__ = ["Move", "next_moves", "unanswerable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    node: str
    """An agent's name, or "large"."""
    planned: Planned
    context: tuple[Passage, ...]


def next_moves(planned: list[Planned], outcomes: Mapping[str, Outcome]) -> list[Move]:
    """Everything that can run now; nothing when the run is complete.

    A subtask runs once all it depends on has an outcome, flagged ones included: what was accepted is
    handed on, and what is missing is the dependent agent's (and its judge's) to notice. Local work goes
    before the large model, so that escalations to a local large model come in one visit.
    """
    settled = {key for key, outcome in outcomes.items() if outcome.status != "pending"}
    local = [
        Move(node=item.decision.agent, planned=item, context=_context(item, outcomes))
        for item in planned
        if item.decision.agent is not None
        and item.subtask.id not in outcomes
        and settled.issuperset(item.subtask.depends_on)
    ]
    if local:
        return local
    return [
        Move(node="large", planned=item, context=_context(item, outcomes))
        for item in planned
        if item.subtask.id in outcomes and outcomes[item.subtask.id].status == "pending"
    ]


def unanswerable(planned: list[Planned]) -> list[Planned]:
    """Subtasks the router sent to nobody."""
    return [item for item in planned if item.decision.agent is None]


def _context(item: Planned, outcomes: Mapping[str, Outcome]) -> tuple[Passage, ...]:
    answers = [outcomes[key] for key in item.subtask.depends_on]
    return tuple(
        Passage(text=answer.text, source=f"answer {answer.subtask_id}", start=0, end=len(answer.text))
        for answer in answers
        if answer.status == "accepted" and answer.text
    )
