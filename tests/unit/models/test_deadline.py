import asyncio
from collections.abc import AsyncGenerator

import pytest

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, Message, complete
from shoal.core.errors import DeadlineExceeded, EngineDown
from shoal.core.port import ModelInfo
from shoal.models.deadline import DeadlineModel, Deadlines
from shoal.testing.scripted import ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "hello"),))
SHORT = 0.01


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def hang(at: int) -> Turn:
    """An answer of two words that stops before word `at`, for good."""
    return Turn(text="one two", at=at, gate=asyncio.Event())


async def expect_expiry(model: DeadlineModel) -> DeadlineExceeded:
    """The error, within a second of the (short) limit."""
    async with asyncio.timeout(1.0):
        with pytest.raises(DeadlineExceeded) as caught:
            await complete(model.stream(ASK))
    return caught.value


async def test_a_model_never_asked_has_time_to_load() -> None:
    inner = ScriptedModel([hang(0)])
    error = await expect_expiry(DeadlineModel(inner, Deadlines(load_s=SHORT, first_token_s=SHORT)))
    assert error.phase == "load"
    assert error.limit_s == 2 * SHORT
    assert "raise load_s in [serving]" in error.mend
    assert inner.closed_early == 1
    assert inner.running == 0


async def test_a_model_that_answered_lately_is_loaded() -> None:
    inner = ScriptedModel(["yes", hang(0)])
    model = DeadlineModel(inner, Deadlines(load_s=60.0, first_token_s=SHORT))
    await complete(model.stream(ASK))
    error = await expect_expiry(model)
    assert error.phase == "first_token"
    assert error.limit_s == SHORT


async def test_a_model_silent_for_long_may_have_been_unloaded() -> None:
    clock = Clock()
    inner = ScriptedModel(["yes", hang(0)])
    model = DeadlineModel(inner, Deadlines(load_s=SHORT, first_token_s=SHORT), clock=clock)
    await complete(model.stream(ASK))
    clock.now += 301
    assert (await expect_expiry(model)).phase == "load"


@pytest.mark.parametrize("at", [1, 2])
async def test_silence_in_the_middle_is_idleness(at: int) -> None:
    inner = ScriptedModel([hang(at)])
    error = await expect_expiry(DeadlineModel(inner, Deadlines(idle_s=SHORT)))
    assert error.phase == "idle"
    assert inner.closed_early == 1


async def test_the_total_ends_whatever_is_going_on() -> None:
    for at in (0, 1):
        error = await expect_expiry(DeadlineModel(ScriptedModel([hang(at)]), Deadlines(total_s=SHORT)))
        assert error.phase == "total"
        assert error.limit_s == SHORT


async def test_a_slow_consumer_is_not_held_against_the_engine() -> None:
    model = DeadlineModel(ScriptedModel("one two"), Deadlines(idle_s=0.1))
    events = model.stream(ASK)
    assert await anext(events) == ChatDelta(text="one")
    await asyncio.sleep(0.15)
    assert await anext(events) == ChatDelta(text=" two")


async def test_answers_and_errors_pass_unchanged() -> None:
    error = EngineDown("down")
    inner = ScriptedModel(["one two", error])
    model = DeadlineModel(inner)
    assert (await complete(model.stream(ASK))).text == "one two"
    with pytest.raises(EngineDown) as caught:
        await complete(model.stream(ASK))
    assert caught.value is error


async def test_a_time_out_of_something_inside_keeps_its_name() -> None:
    class Impatient:
        name = "impatient:model"

        async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
            yield ChatDelta(text="one")
            raise TimeoutError("a socket's own")

        async def describe(self) -> ModelInfo:
            return ModelInfo(name=self.name)

        async def count_tokens(self, request: ChatRequest) -> int | None:
            return None

        async def aclose(self) -> None:
            pass

    with pytest.raises(TimeoutError, match="a socket's own"):
        await complete(DeadlineModel(Impatient()).stream(ASK))
