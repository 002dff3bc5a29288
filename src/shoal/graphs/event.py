"""What a team says while it works: a closed union of events, and how they fold into the result.

Per subtask `Routed` comes first, then for each attempt its `Token`s and `Judged`; `Answered` is the last
event of a stream. Events of subtasks that run at once come mixed, each with its subtask's id.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from shoal.core.decision import Verdict
from shoal.core.errors import StreamBroken
from shoal.graphs.result import Result, compose_answer

__all__ = [
    "Answered",
    "Escalated",
    "Judged",
    "Retracted",
    "Routed",
    "StreamMode",
    "TeamEvent",
    "Token",
    "fold",
]

StreamMode = Literal["commit", "live"]
"""commit: an answer is shown once it was accepted, so that nothing is ever taken back. live: tokens are shown
as the model says them, and `Retracted` takes them back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A part of the request and where it goes. All of them come first, in the order of the request."""

    subtask_id: str
    text: str
    """Of the part."""
    agent: str | None
    """None: no agent's job fits, and the part will be flagged."""
    confidence: float | None
    """P(the agent is right), in [0, 1]; None = unknown."""
    calibrated: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The next piece of an answer: one token or, for a reader who is slower than the model, several."""

    subtask_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What becomes of an attempt, or of one draft of it ("repair": the same model is asked again)."""

    subtask_id: str
    agent: str
    verdict: Verdict
    escalated: bool
    """The attempt is the large model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted:
    """Every token of this subtask so far is void. Mode live only, and only if a token was shown."""

    subtask_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalated:
    """The large model begins to work on this subtask."""

    subtask_id: str
    agent: str
    """Whose job it does."""
    to_model: str
    """`engine:model`, or the alias it was named by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The end: what `Team.run` would have returned."""

    result: Result


TeamEvent = Routed | Token | Judged | Retracted | Escalated | Answered


def fold(events: Iterable[TeamEvent]) -> Result:
    """The result, with every accepted text and the whole answer put together from the tokens.

    It equals the result of the stream's `Answered`: a reader who shows tokens and obeys retractions has in
    the end what an unstreamed run returns. Works for both modes.

    Raises:
        StreamBroken: the events end without `Answered`, because the run was cancelled or failed.
    """
    texts: dict[str, str] = {}
    for event in events:
        match event:
            case Token():
                texts[event.subtask_id] = texts.get(event.subtask_id, "") + event.text
            case Retracted():
                del texts[event.subtask_id]
            case Answered(result=result) if result.status == "waiting":
                return result
            case Answered(result=result):
                steps = tuple(
                    replace(step, text=texts.get(step.id, "")) if step.status == "accepted" else step
                    for step in result.steps
                )
                return replace(result, steps=steps, answer=compose_answer(steps))
            case Routed() | Judged() | Escalated():
                pass
    raise StreamBroken("the events end without an answer", why="the run was cancelled or failed")
