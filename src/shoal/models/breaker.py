"""A circuit breaker per host and one per model: when one is down, say so at once for a while.

Without it every request would spend its retries on a host that is known to be dead. A full queue (here or at
the engine) does not count: that host works. A model that cannot be loaded closes only itself.
"""

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import EngineDown, LoadFailed, ModelError, Overloaded
from shoal.core.port import ChatModel, ModelInfo

__all__ = ["Breaker", "BreakerModel", "host_breaker", "model_breaker"]


def is_failure(error: ModelError) -> bool:
    """Something went wrong that is not the request's fault."""
    return error.retryable and not isinstance(error, Overloaded)


def is_host_failure(error: ModelError) -> bool:
    """The host does not answer at all; what one of its models does says nothing of the others."""
    return isinstance(error, EngineDown) and not isinstance(error, LoadFailed)


@final
class Breaker:
    """The state of one host, shared by all its models, or of one model.

    Closed until `failures` calls in a row fail; then open, and every call fails at once, for `cooldown_s`;
    then half-open: one call is let through, and its end decides.
    """

    def __init__(
        self,
        host: str,
        *,
        failures: int = 3,
        cooldown_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        counts: Callable[[ModelError], bool] = is_failure,
        refusal: type[EngineDown] = EngineDown,
    ) -> None:
        """Closed.

        Args:
            host: what it is about, for messages.
            failures: how many in a row open it.
            cooldown_s: how long it stays open.
            clock: seconds from any fixed point.
            counts: whether an error is a failure of the host.
            refusal: what is raised while it is open.
        """
        self._host = host
        self._counts = counts
        self._refusal = refusal
        self._limit = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._failures = 0
        self._open: tuple[float, ModelError] | None = None
        """Since when, and the failure that opened it."""
        self._is_probing = False

    @contextmanager
    def call(self) -> Generator[None]:
        """One call to the host; say `heard` within it when the host has answered.

        `counts` says which errors count; by default retryable ones, but not `Overloaded`.

        Raises:
            EngineDown: the circuit is open; `retry_after_s` says for how much longer.
        """
        is_probe = self._enter()
        try:
            yield
        except ModelError as error:
            if self._counts(error):
                self._fail(error)
            raise
        finally:
            if is_probe:
                self._is_probing = False

    def heard(self) -> None:
        """The host works."""
        self._failures, self._open = 0, None

    def _enter(self) -> bool:
        """Whether the call is the one that tries a host known to be down."""
        if self._open is None:
            return False
        since, error = self._open
        left_s = since + self._cooldown_s - self._clock()
        if left_s > 0 or self._is_probing:
            raise self._refusal(
                f"{self._host} is not asked for another {max(0.0, left_s):.0f} s",
                why=f"{self._failures} calls in a row failed, the last one so: {error.what}",
                mend=error.mend,
                retry_after_s=max(0.0, left_s),
            )
        self._is_probing = True
        return True

    def _fail(self, error: ModelError) -> None:
        self._failures += 1
        if self._failures >= self._limit:
            self._open = (self._clock(), error)


def host_breaker(host: str) -> Breaker:
    """Opens when the host does not answer."""
    return Breaker(host, counts=is_host_failure)


def model_breaker(model: str) -> Breaker:
    """Opens when this model fails, for whatever reason."""
    return Breaker(model, refusal=LoadFailed)


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
        """Ask, unless the host is known to be down.

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
        async with aclosing(events):
            with self._breaker.call():
                async for event in events:
                    if isinstance(event, ChatResponse):
                        self._breaker.heard()
                    yield event
