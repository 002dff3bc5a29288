import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineDown,
    LoadFailed,
    ModelMissing,
    Overloaded,
    ShoalError,
    StreamBroken,
)
from shoal.models.breaker import Breaker, BreakerModel, host_breaker, model_breaker
from shoal.models.retry import RetryingModel
from shoal.testing.scripted import Script, ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "hello"),))
DOWN = EngineDown("nobody answers at http://host", mend="ollama serve")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    """Let all tasks run until they wait for something that is not there."""
    for _ in range(100):
        await asyncio.sleep(0)


class Host:
    """A model behind a breaker, whose outcomes are scripted."""

    def __init__(self, script: Script, build: Callable[..., Breaker] = Breaker) -> None:
        self.clock = Clock()
        self.breaker = build("http://host", clock=self.clock)
        self.inner = ScriptedModel(script)
        self.model = BreakerModel(self.inner, self.breaker)

    async def ask(self) -> str:
        return (await complete(self.model.stream(ASK))).text

    async def fail(self, times: int) -> None:
        for _ in range(times):
            with pytest.raises(ShoalError):
                await self.ask()

    async def start(self, calls: int) -> list[asyncio.Task[str]]:
        """So many at once, each as far as it gets."""
        asking = [asyncio.create_task(self.ask()) for _ in range(calls)]
        await settle()
        return asking

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


async def test_while_one_call_tries_a_host_that_was_down_the_others_wait_for_its_answer() -> None:
    gate = asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(text="yes", gate=gate), *["again"] * 5])
    await host.fail(3)
    host.clock.now += 31
    asking = await host.start(6)
    assert host.asked == 4
    gate.set()
    assert await asyncio.gather(*asking) == ["yes", *["again"] * 5]


async def test_a_probe_that_fails_opens_it_again_for_those_who_waited() -> None:
    gate = asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(gate=gate, error=DOWN), "yes"])
    await host.fail(3)
    host.clock.now += 31
    asking = await host.start(4)
    host.clock.now += 5
    gate.set()
    probe, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert probe is DOWN
    for error in others:
        assert isinstance(error, EngineDown)
        assert error.retry_after_s == 30.0
    assert host.asked == 4
    host.clock.now += 30
    assert await host.ask() == "yes"


@pytest.mark.parametrize("error", [None, ModelMissing("no model")])
async def test_a_probe_that_decides_nothing_leaves_its_place_to_one_who_waits(
    error: ShoalError | None,
) -> None:
    gate, second = asyncio.Event(), asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(gate=gate, error=error), Turn(text="yes", gate=second), *["again"] * 3])
    await host.fail(3)
    host.clock.now += 31
    probe, *others = await host.start(5)
    if error is None:
        probe.cancel()
    gate.set()
    await asyncio.wait([probe])
    await settle()
    assert host.asked == 5, "one tries it, and the others wait again"
    second.set()
    assert sorted(await asyncio.gather(*others)) == [*["again"] * 3, "yes"]


async def test_who_is_cancelled_while_waiting_takes_nothing_with_it() -> None:
    gate = asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(text="yes", gate=gate), "again"])
    await host.fail(3)
    host.clock.now += 31
    probe, impatient, patient = await host.start(3)
    impatient.cancel()
    await asyncio.wait([impatient])
    assert host.asked == 4
    gate.set()
    assert await asyncio.gather(probe, patient) == ["yes", "again"]


async def test_a_closed_probe_lets_the_next_call_try() -> None:
    host = Host([DOWN] * 3 + ["one two", "yes"])
    await host.fail(3)
    host.clock.now += 30
    async with aclosing(host.model.stream(ASK)) as events:
        await anext(events)
    assert await host.ask() == "yes"


@pytest.mark.parametrize(("build", "asked"), [(host_breaker, 6), (model_breaker, 4)])
async def test_a_first_word_proves_that_the_host_works_but_not_the_model(
    build: Callable[..., Breaker], asked: int
) -> None:
    gate = asyncio.Event()
    host = Host([DOWN] * 3 + [Turn(text="yes indeed", at=1, gate=gate), "again", "again"], build)
    await host.fail(3)
    host.clock.now += 31
    asking = await host.start(3)
    assert host.asked == asked
    gate.set()
    assert await asyncio.gather(*asking) == ["yes indeed", "again", "again"]


async def test_answers_that_break_off_after_their_first_word_open_it_for_the_model() -> None:
    broken = Turn(text="yes indeed", at=1, error=StreamBroken("broke"))
    host = Host([broken] * 3, model_breaker)
    await host.fail(3)
    with pytest.raises(LoadFailed, match="not asked for another 30 s"):
        await host.ask()


async def test_a_late_failure_does_not_prolong_what_is_open_already() -> None:
    gate = asyncio.Event()
    host = Host([Turn(gate=gate, error=DOWN), DOWN, DOWN, DOWN, "yes"])
    (slow,) = await host.start(1)
    await host.fail(3)
    host.clock.now += 20
    gate.set()
    await asyncio.wait([slow])
    host.clock.now += 10
    assert await host.ask() == "yes"


async def test_with_retries_all_calls_of_an_outage_are_answered() -> None:
    gate, up_at = asyncio.Event(), 1020.0

    def play(_: ChatRequest) -> ShoalError | Turn:
        return DOWN if host.clock.now < up_at else Turn(text="yes", gate=gate)

    async def sleep(seconds: float) -> None:
        until = host.clock.now + seconds
        await asyncio.sleep(0)
        host.clock.now = max(host.clock.now, until)

    host = Host(play)
    model = RetryingModel(host.model, sleep=sleep)
    asking = [asyncio.create_task(complete(model.stream(ASK))) for _ in range(20)]
    await settle()
    assert (host.asked, host.inner.running) == (4, 1), "three that open it, and the one that tries"
    gate.set()
    assert [answer.text for answer in await asyncio.gather(*asking)] == ["yes"] * 20


async def test_models_of_one_host_share_its_state() -> None:
    host = Host([DOWN] * 3)
    other = ScriptedModel("yes")
    await host.fail(3)
    with pytest.raises(EngineDown):
        await complete(BreakerModel(other, host.breaker).stream(ASK))
    assert other.requests == []
