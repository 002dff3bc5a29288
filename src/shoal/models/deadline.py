"""Time limits on one call, by what is being waited for.

Not a limit on an agent's whole attempt, repairs included: that is the agent's `timeout_s`. Adapters and HTTP
clients have no read time-outs of their own, because only here it is known which silence is normal.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, final

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.errors import DeadlineExceeded
from shoal.core.port import ChatModel, ModelInfo

__all__ = ["DeadlineModel", "Deadlines"]

RESIDENT_S = 300.0
"""A model not used for this long may have been unloaded: Ollama's default keep_alive."""

Phase = Literal["load", "first_token", "idle", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Limits in seconds."""

    load_s: float = 300.0
    """To load the model. Given on top of `first_token_s` where it may not be loaded."""
    first_token_s: float = 120.0
    """From asking a loaded model to its first token: the engine's queue and the whole prompt."""
    idle_s: float = 60.0
    """Longest silence between two tokens."""
    total_s: float | None = None
    """From asking to the response, the consumer's own time included; None = no limit."""


@final
class DeadlineModel:
    """Closes a stream that keeps silent for too long, which frees its slot at the engine.

    Engines do not say that they are loading. A model that has not answered for five minutes is taken to be
    unloaded, and so is one that was never asked.
    """

    def __init__(
        self,
        inner: ChatModel,
        deadlines: Deadlines | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._deadlines = deadlines or Deadlines()
        self._clock = clock
        self._last_heard: float | None = None

    @property
    def name(self) -> str:
        return self._inner.name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask. A consumer that is slow to take tokens is not held against the engine.

        Raises:
            DeadlineExceeded: with the phase whose time ran out.
            ShoalError: whatever the wrapped model raises.
        """
        began = self._clock()
        phase, limit_s = self._first_wait()
        async with aclosing(self._inner.stream(request)) as events:
            while True:
                event = await self._next(events, *self._shortest(phase, limit_s, began))
                if event is None:
                    return
                self._last_heard = self._clock()
                phase, limit_s = "idle", self._deadlines.idle_s
                yield event

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _first_wait(self) -> tuple[Phase, float]:
        limits, last = self._deadlines, self._last_heard
        if last is None or self._clock() - last > RESIDENT_S:
            return "load", limits.load_s + limits.first_token_s
        return "first_token", limits.first_token_s

    def _shortest(self, phase: Phase, limit_s: float, began: float) -> tuple[Phase, float, float]:
        """The phase that ends first, its limit, and the seconds left of it."""
        total_s = self._deadlines.total_s
        if total_s is not None and (left_s := total_s - (self._clock() - began)) < limit_s:
            return "total", total_s, left_s
        return phase, limit_s, limit_s

    async def _next(
        self, events: AsyncGenerator[ChatEvent], phase: Phase, limit_s: float, left_s: float
    ) -> ChatEvent | None:
        limit = asyncio.timeout(left_s)
        try:
            # Around one event and never across a yield: the scope must not outlive this coroutine's turn.
            async with limit:
                return await anext(events, None)
        except TimeoutError as error:
            if not limit.expired():
                raise  # of something inside, which knows better what it waited for
            raise DeadlineExceeded(
                f"{self.name} {EXCEEDED[phase]} {limit_s:g} s",
                phase=phase,
                limit_s=limit_s,
                mend=f"{MENDS[phase]}, or ask a faster model",
            ) from error


EXCEEDED: dict[Phase, str] = {
    "load": "was not loaded and gave no token within",
    "first_token": "gave no token within",
    "idle": "fell silent in the middle of its answer for",
    "total": "did not finish within",
}
MENDS: dict[Phase, str] = {
    "load": "raise load_s in [serving] of shoal.toml",
    "first_token": "raise first_token_s in [serving] of shoal.toml",
    "idle": "raise idle_s in [serving] of shoal.toml",
    "total": "raise the total_s of its Deadlines",
}
