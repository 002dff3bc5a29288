import math
from collections.abc import AsyncGenerator, Sequence
from contextvars import ContextVar
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, Message, complete
from shoal.core.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineDown,
    ModelMissing,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)
from shoal.models.retry import Backoff, RetryingModel
from shoal.testing.scripted import ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "hello"),))


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def retrying(
    script: Sequence[str | ShoalError | Turn], clock: Clock, *, total_s: float | None = None
) -> tuple[RetryingModel, ScriptedModel]:
    inner = ScriptedModel(script)
    backoff = Backoff(random=Random(7))
    return RetryingModel(inner, total_s=total_s, backoff=backoff, sleep=clock.sleep, clock=clock), inner


@pytest.mark.parametrize("error", [EngineDown("down"), Overloaded("full"), StreamBroken("broke")])
async def test_asks_again_when_that_can_help(error: ShoalError) -> None:
    clock = Clock()
    model, inner = retrying([error, error, "yes"], clock)
    assert (await complete(model.stream(ASK))).text == "yes"
    assert inner.requests == [ASK] * 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize(
    "error",
    [
        ModelMissing("no model"),
        RequestRefused("no"),
        ContextOverflow("too long"),
        DeadlineExceeded("too slow", phase="idle", limit_s=1.0),
    ],
)
async def test_never_retries_what_retrying_cannot_mend(error: ShoalError) -> None:
    clock = Clock()
    model, inner = retrying([error, "unreachable"], clock)
    with pytest.raises(type(error)):
        await complete(model.stream(ASK))
    assert len(inner.requests) == 1
    assert clock.slept == []


async def test_raises_the_last_error_after_three_attempts() -> None:
    clock = Clock()
    model, inner = retrying([EngineDown("one"), StreamBroken("two"), EngineDown("three")], clock)
    with pytest.raises(EngineDown, match="three"):
        await complete(model.stream(ASK))
    assert len(inner.requests) == 3
    assert len(clock.slept) == 2


async def test_never_repeats_text_that_was_given_out() -> None:
    clock = Clock()
    model, inner = retrying([Turn(text="one two", at=1, error=StreamBroken("broke")), "again"], clock)
    events = model.stream(ASK)
    assert await anext(events) == ChatDelta(text="one")
    with pytest.raises(StreamBroken):
        await anext(events)
    assert len(inner.requests) == 1


async def test_waits_at_least_as_long_as_the_engine_asks() -> None:
    clock = Clock()
    model, _ = retrying([Overloaded("full", retry_after_s=12.0), "yes"], clock)
    await complete(model.stream(ASK))
    assert 12.0 <= clock.slept[0] <= 12.5


async def test_does_not_wait_for_an_engine_that_asks_for_too_much() -> None:
    clock = Clock()
    model, inner = retrying([Overloaded("full", retry_after_s=3600.0), "unreachable"], clock)
    with pytest.raises(Overloaded):
        await complete(model.stream(ASK))
    assert len(inner.requests) == 1
    assert clock.slept == []


async def test_begins_no_attempt_after_its_time_is_over() -> None:
    clock = Clock()
    model, inner = retrying([Overloaded("full", retry_after_s=4.0)] * 3, clock, total_s=5.0)
    with pytest.raises(Overloaded):
        await complete(model.stream(ASK))
    assert len(inner.requests) == 2
    assert clock.now <= 5.0


async def test_the_same_seed_waits_the_same() -> None:
    clocks = Clock(), Clock()
    for clock in clocks:
        model, _ = retrying([EngineDown("a"), EngineDown("b"), "yes"], clock)
        await complete(model.stream(ASK))
    assert clocks[0].slept == clocks[1].slept


@given(st.integers(1, 60), st.none() | st.floats(0, 30), st.integers())
def test_waits_are_jittered_within_bounds(attempt: int, retry_after_s: float | None, seed: int) -> None:
    wait_s = Backoff(random=Random(seed)).wait_s(attempt, retry_after_s)
    assert wait_s is not None
    jitter_s = wait_s - (retry_after_s or 0.0)
    assert -1e-9 <= jitter_s <= min(8.0, 0.5 * math.pow(2, attempt - 1)) + 1e-9


async def test_inner_models_see_the_context_of_the_call_at_every_attempt() -> None:
    whose = ContextVar("whose", default="nobody")
    seen: list[str] = []

    inner = ScriptedModel([EngineDown("down"), "yes"])
    clock = Clock()

    class Scoped:
        """Reads a context variable when `stream` is called, as recording does."""

        name = "scripted:scoped"
        describe = inner.describe
        count_tokens = inner.count_tokens
        aclose = inner.aclose

        def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
            seen.append(whose.get())
            return inner.stream(request)

    model = RetryingModel(Scoped(), sleep=clock.sleep, clock=clock)
    token = whose.set("this call")
    events = model.stream(ASK)
    whose.reset(token)
    assert (await complete(events)).text == "yes"
    assert seen == ["this call", "this call"]
