import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineDown,
    ModelMissing,
    Overloaded,
    ShoalError,
    StreamBroken,
)
from shoal.models.breaker import Breaker, BreakerModel
from shoal.testing.scripted import ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "hello"),))
DOWN = EngineDown("nobody answers at http://host", mend="ollama serve")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A model behind a breaker, whose outcomes are scripted."""

    def __init__(self, script: Sequence[str | ShoalError | Turn]) -> None:
        self.clock = Clock()
        self.breaker = Breaker("http://host", clock=self.clock)
        self.inner = ScriptedModel(script)
        self.model = BreakerModel(self.inner, self.breaker)

    async def ask(self) -> str:
        return (await complete(self.model.stream(ASK))).text

    async def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(ShoalError):
                await self.ask()

    @property
    def asked(self) -> int:
        return len(self.inner.requests)


async def test_opens_after_three_failures_in_a_row_and_says_for_how_long() -> None:
    host = Host([DOWN, StreamBroken("broke"), DOWN, "unreachable"])
    await host.fail(3)
    host.clock.now += 10
    with pytest.raises(EngineDown) as caught:
        await host.ask()
    assert host.asked == 3
    assert caught.value.what == "http://host is not asked for another 20 s"
    assert "nobody answers at http://host" in caught.value.why
    assert caught.value.mend == "ollama serve"
    assert caught.value.retry_after_s == 20.0


async def test_an_answer_in_between_starts_the_count_anew() -> None:
    host = Host([DOWN, DOWN, "yes", DOWN, DOWN, "yes"])
    await host.fail(2)
    assert await host.ask() == "yes"
    await host.fail(2)
    assert await host.ask() == "yes"


@pytest.mark.parametrize(
    "error",
    [
        Overloaded("full"),
        ModelMissing("no model"),
        ContextOverflow("too long"),
        DeadlineExceeded("slow", phase="total", limit_s=1),
    ],
)
async def test_errors_of_a_host_that_works_do_not_count(error: ShoalError) -> None:
    host = Host([error] * 5 + ["yes"])
    await host.fail(5)
    assert await host.ask() == "yes"


async def test_after_the_cool_down_one_call_decides() -> None:
    host = Host([DOWN] * 4 + ["yes", "again"])
    await host.fail(3)
    host.clock.now += 30
    await host.fail(1)
    with pytest.raises(EngineDown, match="another 30 s"):
        await host.ask()
    assert host.asked == 4
    host.clock.now += 30
    assert await host.ask() == "yes"
    assert await host.ask() == "again"


async def test_only_one_call_tries_a_host_that_was_down() -> None:
    gate = asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(text="yes", gate=gate), "again"])
    await host.fail(3)
    host.clock.now += 31
    probe = asyncio.create_task(host.ask())
    await asyncio.sleep(0)
    with pytest.raises(EngineDown, match="another 0 s"):
        await host.ask()
    gate.set()
    assert await probe == "yes"
    assert await host.ask() == "again"


async def test_a_cancelled_probe_lets_the_next_call_try() -> None:
    host = Host([DOWN] * 3 + ["one two", "yes"])
    await host.fail(3)
    host.clock.now += 30
    async with aclosing(host.model.stream(ASK)) as events:
        await anext(events)
    assert await host.ask() == "yes"


async def test_models_of_one_host_share_its_state() -> None:
    host = Host([DOWN] * 3)
    other = ScriptedModel("yes")
    await host.fail(3)
    with pytest.raises(EngineDown):
        await complete(BreakerModel(other, host.breaker).stream(ASK))
    assert other.requests == []
