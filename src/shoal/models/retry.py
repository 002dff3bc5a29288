"""The only retry loop. It stands outermost, above every adapter and every other wrapper.

Which failures a retry can mend is a property of their class (`ShoalError.retryable`). Not for wrong answers:
asking again with the fault named is a repair, and the agent's.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.errors import ModelError, ShoalError
from shoal.core.port import ChatModel, ModelInfo

__all__ = ["Backoff", "RetryingModel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""

    first_s: float = 0.5
    """Longest wait before the second attempt; doubles with every further one."""
    longest_s: float = 8.0
    patience_s: float = 30.0
    """An engine that asks for a longer wait than this is not waited for."""
    random: Random = field(default_factory=Random)

    def wait_s(self, attempt: int, retry_after_s: float | None) -> float | None:
        """How long to wait after failed attempt 1, 2, ...; None = do not try again.

        The jitter comes on top of what the engine asked for, so that callers do not all come back at once.
        """
        jitter_s = self.random.uniform(0.0, min(self.longest_s, self.first_s * 2.0 ** (attempt - 1)))
        if retry_after_s is None:
            return jitter_s
        return None if retry_after_s > self.patience_s else retry_after_s + jitter_s


@final
class RetryingModel:
    """Asks again when asking again can help, and only while nothing has been said yet.

    Once a delta was given out the text cannot be taken back, so that a later failure is raised.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        attempts: int = 3,
        total_s: float | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked here.

        Args:
            inner: the model asked.
            attempts: tries in all, the first one included.
            total_s: no attempt begins later than this after the call; None = no limit.
            backoff: how long to wait between attempts.
            sleep: waits so many seconds.
            clock: seconds from any fixed point.
        """
        self._inner = inner
        self._attempts = attempts
        self._total_s = total_s
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._clock = clock

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask, at most `attempts` times.

        Raises:
            ShoalError: of the last attempt.
        """
        # Inner models read context variables when `stream` is called; a retry calls it later, elsewhere.
        return self._ask(request, copy_context())

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _ask(self, request: ChatRequest, context: Context) -> AsyncGenerator[ChatEvent]:
        began, attempt, is_silent = self._clock(), 1, True
        while True:
            try:
                async with aclosing(context.run(self._inner.stream, request)) as events:
                    async for event in events:
                        is_silent = False
                        yield event
            except ShoalError as error:
                wait_s = self._wait_s(error, attempt, self._clock() - began) if is_silent else None
                if wait_s is None:
                    raise
            else:
                return
            await self._sleep(wait_s)
            attempt += 1

    def _wait_s(self, error: ShoalError, attempt: int, elapsed_s: float) -> float | None:
        if not error.retryable or attempt >= self._attempts:
            return None
        wait_s = self._backoff.wait_s(attempt, error.retry_after_s if isinstance(error, ModelError) else None)
        is_late = wait_s is not None and self._total_s is not None and elapsed_s + wait_s > self._total_s
        return None if is_late else wait_s
