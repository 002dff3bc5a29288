"""A circuit breaker per host and one per model: when one is down, say so at once for a while.

Without it every request would spend its retries on a host that is known to be dead. A full queue (here or at
the engine) does not count: that host works. A model that cannot be loaded closes only itself.

After that while one call tries the host, and the others wait for how it ends: refused, they would have spent
their retries before its model is loaded again.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import EngineDown, LoadFailed, ModelError, Overloaded
from shoal.core.port import ChatModel, ModelInfo

__all__ = ["Breaker", "BreakerModel", "host_breaker", "model_breaker"]

FAILURES = 3
"""So many calls in a row that fail open a circuit."""


def is_failure(error: ModelError) -> bool:
    """Something went wrong that is not the request's fault."""
    return error.retryable and not isinstance(error, Overloaded)


def is_host_failure(error: ModelError) -> bool:
    """The host does not answer at all; what one of its models does says nothing of the others."""
    return isinstance(error, EngineDown) and not isinstance(error, LoadFailed)


@final
class Breaker:
    """The state of one host, shared by all its models, or of one model.

    Closed until `FAILURES` calls in a row fail; then open, and every call fails at once, for `cooldown_s`;
    then half-open: one call is let through, the probe, and decides; the others wait until it has. A probe
    that decides nothing (cancelled, refused) leaves its place to the next one. Belongs to one event loop.
    """

    def __init__(
        self,
        host: str,
        *,
        cooldown_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        counts: Callable[[ModelError], bool] = is_failure,
        refusal: type[EngineDown] = EngineDown,
        needs_whole_answer: bool = True,
    ) -> None:
        """Closed.

        Args:
            host: what it is about, for messages.
            cooldown_s: how long it stays open.
            clock: seconds from any fixed point.
            counts: whether an error is a failure of the host.
            refusal: what is raised while it is open.
            needs_whole_answer: False where no error that counts can follow an answer's first word, which then
                is proof enough that the host works.
        """
        self._host = host
        self._counts = counts
        self._refusal = refusal
        self._needs_whole_answer = needs_whole_answer
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._failures = 0
        self._open: tuple[float, ModelError] | None = None
        """Since when, and the failure that opened it."""
        self._probe: asyncio.Event | None = None
        """Of the call that tries the host; set when it has decided, or is over."""

    @asynccontextmanager
    async def call(self) -> AsyncGenerator[None]:
        """One call to the host; give `heard` within it what comes back. Waits while a probe is under way.

        `counts` says which errors count; by default retryable ones, but not `Overloaded`.

        Raises:
            EngineDown: the circuit is open; `retry_after_s` says for how much longer.
        """
        probe = await self._enter()
        try:
            yield
        except ModelError as error:
            # Of a circuit that is open, a call that began before says nothing new: it prolongs nothing.
            is_news = self._open is None or (probe is not None and not probe.is_set())
            if is_news and self._counts(error):
                self._fail(error)
            raise
        finally:
            if probe is not None:
                self._release(probe)

    def heard(self, event: ChatEvent) -> None:
        """The host said this. If that is proof that it works, the circuit is closed, and who waits may go."""
        if isinstance(event, ChatResponse) or not self._needs_whole_answer:
            self._failures, self._open = 0, None
            if self._probe is not None:
                self._release(self._probe)

    async def _enter(self) -> asyncio.Event | None:
        """None, or for the call that tries a host known to be down, what to set when it is over."""
        while self._open is not None:
            since, error = self._open
            left_s = since + self._cooldown_s - self._clock()
            if left_s > 0:
                raise self._refusal(
                    f"{self._host} is not asked for another {math.ceil(left_s)} s",
                    why=f"{self._failures} calls in a row failed, the last one so: {error.what}",
                    mend=error.mend,
                    retry_after_s=left_s,
                )
            if self._probe is None:
                self._probe = asyncio.Event()
                return self._probe
            await self._probe.wait()
        return None

    def _release(self, probe: asyncio.Event) -> None:
        probe.set()
        if self._probe is probe:  # one that was heard long ago may end while another is under way
            self._probe = None

    def _fail(self, error: ModelError) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._open = (self._clock(), error)


def host_breaker(host: str, *, clock: Callable[[], float] = time.monotonic) -> Breaker:
    """Opens when the host does not answer."""
    return Breaker(host, clock=clock, counts=is_host_failure, needs_whole_answer=False)


def model_breaker(model: str, *, clock: Callable[[], float] = time.monotonic) -> Breaker:
    """Opens when this model fails, for whatever reason, be it in the middle of an answer."""
    return Breaker(model, clock=clock, refusal=LoadFailed)


@final
class BreakerModel:
    """Fails at once while its host's circuit is open."""

    def __init__(self, inner: ChatModel, breaker: Breaker) -> None:
        self._inner = inner
        self._breaker = breaker

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask, unless the host is known to be down; while another call finds that out, wait for it.

        Raises:
            EngineDown: the circuit is open.
            ShoalError: whatever the wrapped model raises.
        """
        return self._watch(self._inner.stream(request))

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _watch(self, events: AsyncGenerator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
        async with aclosing(events), self._breaker.call():
            async for event in events:
                self._breaker.heard(event)
                yield event
