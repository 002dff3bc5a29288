"""What a caller sees of an engine's failures through the adapter and all the wrappers around it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shoal.core.chat import ChatDelta, ChatRequest, Message, complete
from shoal.core.errors import DeadlineExceeded, EngineDown, ShoalError, StreamBroken
from shoal.models.breaker import Breaker, BreakerModel
from shoal.models.deadline import DeadlineModel, Deadlines
from shoal.models.network import build_client
from shoal.models.openai import OpenAIModel
from shoal.models.retry import RetryingModel
from shoal.serving.schedule import Schedule
from shoal.serving.scheduled_model import ScheduledModel
from shoal.serving.scheduler import Scheduler
from shoal.testing.fake_openai import FakeOpenAI, break_off, event, refuse
from shoal.testing.http_server import Handler, Reply, Request

ASK = ChatRequest(messages=(Message("user", "hello"),), max_tokens=20)
WORD = event({"choices": [{"delta": {"content": "word"}}]})
IDLE_S = 0.25


@dataclass
class Rig:
    """A wrapped model in front of a fake server; waits between retries are noted and not waited."""

    server: FakeOpenAI
    model: RetryingModel
    slept: list[float] = field(default_factory=list[float])

    async def ask(self) -> str:
        async with asyncio.timeout(IDLE_S + 1):
            return (await complete(self.model.stream(ASK))).text

    async def fail(self) -> ShoalError:
        with pytest.raises(ShoalError) as caught:
            await self.ask()
        return caught.value


@asynccontextmanager
async def rig(*faults: Handler) -> AsyncGenerator[Rig]:
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    async with FakeOpenAI("yes") as server, build_client(server.url, local_only=True) as client:
        server.fail(*faults)
        waits = Deadlines(idle_s=IDLE_S)
        scheduler = Scheduler(server.url, Schedule(max_queue=0))
        adapter = DeadlineModel(OpenAIModel("fake", client), waits)
        scheduled = ScheduledModel(adapter, scheduler, parallel=1)
        model = RetryingModel(BreakerModel(scheduled, Breaker(server.url)), sleep=note)
        yield Rig(server, model, slept)


async def hang(_: Request, reply: Reply) -> None:
    await reply.start()
    await reply.send(WORD)
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "fault",
    [
        break_off(),
        break_off(b"garbage\n\n"),
        break_off(b"data: garbage\n\n"),
        break_off(ending="close"),
        break_off(ending="reset"),
        break_off(b"data: {", ending="close"),
        refuse(500),
        refuse(503, headers={"retry-after": "1"}),
        refuse(429),
    ],
)
async def test_a_failure_before_the_first_word_is_mended_by_asking_again(
    fault: Handler,
) -> None:
    async with rig(fault, fault) as tested:
        assert await tested.ask() == "yes"
        assert len(tested.server.requests) == 3
        assert len(tested.slept) == 2


@pytest.mark.parametrize(
    "fault",
    [
        break_off(WORD),
        break_off(WORD, b"data: garbage\n\n"),
        break_off(WORD, b"data: {", ending="close"),
        break_off(WORD, ending="reset"),
        break_off(WORD, event({"error": {"message": "died", "code": 500}})),
    ],
)
async def test_a_failure_after_the_first_word_never_repeats_it(fault: Handler) -> None:
    async with rig(fault) as tested, aclosing(tested.model.stream(ASK)) as events:
        assert await anext(events) == ChatDelta(text="word")
        with pytest.raises(StreamBroken):
            await anext(events)
        assert len(tested.server.requests) == 1


async def test_a_hanging_engine_is_left_within_a_second_of_the_limit_and_its_place_is_free() -> None:
    async with rig(hang) as tested:
        error = await tested.fail()
        assert isinstance(error, DeadlineExceeded)
        assert error.phase == "idle"
        assert len(tested.server.requests) == 1
        assert await tested.ask() == "yes"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_asking_again_cannot_mend_is_asked_once_and_says_why(status: int) -> None:
    async with rig(refuse(status, "the reason")) as tested:
        error = await tested.fail()
        assert "the reason" in error.why
        assert len(tested.server.requests) == 1


async def test_after_three_failures_nobody_is_asked_for_a_while() -> None:
    async with rig(*[refuse(500)] * 3) as tested:
        assert isinstance(await tested.fail(), EngineDown)
        assert len(tested.server.requests) == 3
        error = await tested.fail()
        assert "is not asked for another" in error.what
        assert len(tested.server.requests) == 3
