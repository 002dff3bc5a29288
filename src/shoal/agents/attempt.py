"""One agent's answer to one text, with everything that was seen while it was made."""

from dataclasses import dataclass
from typing import Generic, Protocol

from typing_extensions import TypeVar

from shoal.core.chat import ChatDelta, ChatResponse
from shoal.core.decision import Judged, Signals, Verdict
from shoal.core.errors import OutputInvalid, ShoalError
from shoal.core.passage import Passage

__all__ = ["AgentEvent", "Attempt", "Judge", "OutputT", "Repairing"]

OutputT = TypeVar("OutputT", default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Generic[OutputT]):
    agent: str
    model: str
    """`engine:model` that was asked."""
    text: str
    """The answer as the model gave it, as far as it came when it broke off; empty when there is none."""
    output: OutputT | None
    """The answer as the agent's output type; None when it does not have that shape."""
    signals: Signals
    verdict: Verdict
    failure: ShoalError | None = None
    """Why there is no usable answer."""
    response: ChatResponse | None = None
    drafts: tuple[Judged, ...] = ()
    """Answers before it that the model was asked to give again."""
    passages: tuple[Passage, ...] = ()
    """What the agent looked up for it."""
    latency_s: float = 0.0
    """Look-up, model calls and repairs together."""

    @property
    def accepted(self) -> bool:
        return self.verdict.action == "accept"

    def unwrap(self) -> OutputT:
        """The output of an accepted attempt.

        Raises:
            ShoalError: the attempt failed; its own `failure`.
            OutputInvalid: the answer was not accepted, for the reason in the verdict.
        """
        if self.failure is not None:
            raise self.failure
        if self.output is None or not self.accepted:
            raise OutputInvalid(
                f"the answer of {self.agent} was not accepted", text=self.text, why=self.verdict.reason
            )
        return self.output


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairing:
    """The text streamed so far is void: the agent asks its model again."""

    verdict: Verdict
    """Of the draft; its reason says what was wrong."""


AgentEvent = ChatDelta | Repairing | Attempt[OutputT]


class Judge(Protocol):
    """Decides what becomes of an attempt. Pure; about a millisecond at most."""

    def judge(
        self,
        agent: str,
        signals: Signals,
        *,
        failure: ShoalError | None = None,
        digest: str | None = None,
        repairs_left: int = 0,
        large: bool,
    ) -> Verdict:
        """`digest`: of the weights that answered. `large`: a larger model can still be asked."""
        ...
