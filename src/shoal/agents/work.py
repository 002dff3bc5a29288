"""The state of one attempt: what it is made of, what is asked next, what is known after the last call."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Generic

from shoal.agents.attempt import Judge, OutputT
from shoal.agents.probe import Probe
from shoal.agents.prompt import build_request
from shoal.agents.runtime import Runtime
from shoal.agents.spec import AgentSpec
from shoal.agents.tool_use import ToolUse
from shoal.core.chat import ChatRequest, ChatResponse, Message
from shoal.core.decision import Decision, Judged, Signals
from shoal.core.errors import DeadlineExceeded, ShoalError
from shoal.core.passage import Passage
from shoal.core.port import ChatModel

__all__ = ["Draft", "Task", "Work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[OutputT]):
    """What one attempt is made of."""

    agent: AgentSpec[OutputT]
    text: str
    runtime: Runtime
    judge: Judge
    decision: Decision | None = None
    """How the text came to this agent; its confidence is one of the signals."""
    difficulty: float | None = None
    """P(the agent fails), judged from the text alone; one of the signals."""
    context: tuple[Passage, ...] = ()
    """Answers of earlier subtasks; quoted before what is looked up."""
    large: bool = False
    """A larger model could still be asked after this one."""
    purpose: str = "answer"
    """For the ledger: "answer", or "escalation" when the model is the large one."""
    probe: Probe = Probe()  # noqa: RUF009  it is frozen
    """Signals that further calls are made for."""
    place: str = ""
    """Where in its run the attempt stands, the same when the run is resumed: effects of tools are
    recorded under it."""


@dataclass(slots=True)
class Work(Generic[OutputT]):
    """One attempt while it is made."""

    task: Task[OutputT]
    model: ChatModel
    deadline: float
    """On the monotonic clock."""
    tools: ToolUse
    request: ChatRequest | None = None
    """What is asked next: it grows by tool calls and repairs. None = nothing was looked up yet."""
    repairs: int = 0
    drafts: tuple[Judged, ...] = ()
    """What was judged before, and asked for again."""

    def add(self, *turns: Message) -> None:
        """Ask with these turns after what was asked before."""
        assert self.request is not None, "there is something to add to once it was asked"
        self.request = replace(self.request, messages=self.request.messages + turns)

    def drop_passage(self) -> bool:
        """Leave out the weakest passage looked up; False = the agent forbids it, or there is none."""
        assert self.request is not None, "it was asked, and did not fit"
        agent, request = self.task.agent, self.request
        weakest = min(
            (passage for passage in request.passages if passage.score is not None),
            key=lambda passage: passage.score or 0.0,
            default=None,
        )
        if agent.on_overflow == "refuse" or weakest is None:
            return False
        kept = tuple(passage for passage in request.passages if passage is not weakest)
        shorter = build_request(agent, self.task.text, kept)
        later = request.messages[len(shorter.messages) :]
        self.request = replace(shorter, messages=shorter.messages + later)
        return True

    @asynccontextmanager
    async def in_time(self) -> AsyncGenerator[None]:
        """Give up what is awaited inside when the attempt's time is over. Never open across a yield."""
        agent = self.task.agent
        limit = asyncio.timeout(max(0.0, self.deadline - time.monotonic()))
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(
                f"{agent.name} did not finish within {agent.timeout_s:g} s",
                phase="total",
                limit_s=agent.timeout_s,
                mend=f'Agent("{agent.name}", timeout_s={agent.timeout_s * 2:g}, ...)',
            ) from error


@dataclass(slots=True)
class Draft(Generic[OutputT]):
    """What is known after the last call."""

    said: list[str] = field(default_factory=list[str])
    response: ChatResponse | None = None
    output: OutputT | None = None
    signals: Signals = field(default_factory=Signals)
    failure: ShoalError | None = None

    @property
    def text(self) -> str:
        return self.response.text if self.response else "".join(self.said)
