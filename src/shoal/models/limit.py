"""A bounded queue in front of one model.

Engines pile up requests without bound on a loaded model, so back-pressure is the caller's job. First come,
first served; not a scheduler: it knows one model only and does not group or reorder.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import Overloaded
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import add_known

__all__ = ["LimitedModel"]

RECENT = 0.2
"""Weight of the newest call in the moving average of how long a call takes."""


@final
class LimitedModel:
    """At most `parallel` requests in flight and `max_queue` waiting; one more is refused at once.

    The wait is added to `Usage.queue_s`. A place is given back when the response is there, or when the
    stream fails, is closed or cancelled; a waiter that is cancelled leaves the queue.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        parallel: int,
        max_queue: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._parallel = parallel
        self._max_queue = max_queue
        self._clock = clock
        self._places = asyncio.Semaphore(parallel)
        self._waiting = 0
        self._mean_s: float | None = None

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def waiting(self) -> int:
        """Requests in the queue now."""
        return self._waiting

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Wait for a place, then ask.

        Raises:
            Overloaded: the queue is full.
            ShoalError: whatever the wrapped model raises.
        """
        arrived = self._clock()
        await self._take_place()
        began, response = self._clock(), None
        try:
            async with aclosing(self._inner.stream(request)) as events:
                async for event in events:
                    if isinstance(event, ChatResponse):
                        response = event
                        break
                    yield event
        finally:
            self._places.release()
        if response is not None:
            self._learn(self._clock() - began)
            queue_s = add_known(response.usage.queue_s, began - arrived)
            yield replace(response, usage=replace(response.usage, queue_s=queue_s))

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _take_place(self) -> None:
        if self._places.locked() and self._waiting >= self._max_queue:
            raise Overloaded(
                f"the queue of {self.name} is full",
                why=f"{self._parallel} requests are in flight and {self._waiting} wait",
                mend="send fewer requests at once, or raise max_queue in [serving] of shoal.toml",
                retry_after_s=None if self._mean_s is None else self._mean_s / self._parallel,
            )
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    def _learn(self, took_s: float) -> None:
        self._mean_s = took_s if self._mean_s is None else self._mean_s + RECENT * (took_s - self._mean_s)
