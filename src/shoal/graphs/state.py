"""What a team's run remembers between steps: plain JSON values, so that a checkpoint outlives a version.

Dataclasses go in and out through pydantic at the nodes; LangGraph never has to import a class of ours to
read a checkpoint.
"""

from typing import Annotated, Any, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from shoal.core.decision import Decision, Signals, Subtask, Verdict
from shoal.core.passage import Passage

__all__ = ["Outcome", "Planned", "Status", "TeamState", "Work"]

Status = Literal["accepted", "pending", "flagged"]
"""pending: the large model is to be asked."""


class Planned(BaseModel):
    """A subtask and where the router sent it."""

    model_config = ConfigDict(frozen=True)

    subtask: Subtask
    decision: Decision


class Outcome(BaseModel):
    """What became of one subtask, so far."""

    model_config = ConfigDict(frozen=True)

    subtask_id: str
    agent: str | None
    model: str | None
    text: str
    """The answer as text; JSON where the agent's output is typed."""
    output: Any = None
    """The answer as JSON values; None when there is no usable one."""
    status: Status
    escalated: bool
    verdict: Verdict
    mend: str = ""
    """The command or line that would make it work; empty where nobody can say."""
    signals: Signals
    alternatives: dict[str, float | None] = Field(default_factory=dict[str, float | None])
    """Predicted cost in USD of every action that could follow the attempt; None = unknown."""
    passages: tuple[Passage, ...] = ()


def merge_outcomes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Later outcomes of the same subtask replace earlier ones (an escalated answer the local one)."""
    return old | new


class TeamState(TypedDict):
    """State of a team's graph."""

    run_id: str
    request: str
    planned: list[dict[str, Any]]
    """`Planned` as JSON values, in the order of the request."""
    outcomes: Annotated[dict[str, Any], merge_outcomes]
    """`Outcome` as JSON values, by subtask id."""
    consents: Annotated[dict[str, bool], merge_outcomes]
    """What a person decided, by subtask id: may its text go to the large model?"""
    answer: str


class Work(TypedDict):
    """What one agent node gets: one subtask and the answers it depends on."""

    run_id: str
    planned: dict[str, Any]
    context: list[dict[str, Any]]
    """Answers of the subtasks this one depends on, as `Passage`s."""
    local: dict[str, Any] | None
    """`Outcome` of the agent, for the large model; None for an agent."""
