"""The queue in front of one model, as its callers see it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import EngineDown, Overloaded
from shoal.core.port import ChatModel
from shoal.core.usage import Usage
from shoal.serving.schedule import Schedule
from shoal.serving.scheduled_model import ScheduledModel
from shoal.serving.scheduler import Scheduler
from shoal.testing.scripted import ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "hello"),))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def queued(
    inner: ChatModel, *, parallel: int = 1, max_queue: int = 10_000, clock: Clock | None = None
) -> ScheduledModel:
    """In front of a host that has no memory to manage."""
    scheduler = Scheduler("host", Schedule(max_queue=max_queue), clock=clock or Clock())
    return ScheduledModel(inner, scheduler, parallel=parallel)


async def settle() -> None:
    """Let every task run until all of them wait."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Bench:
    """A limited model whose calls end when the test says so."""

    parallel: int
    max_queue: int
    clock: Clock = field(default_factory=Clock)
    gates: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    tasks: dict[str, "asyncio.Task[Usage]"] = field(default_factory=dict[str, "asyncio.Task[Usage]"])

    def __post_init__(self) -> None:
        self.inner = ScriptedModel(lambda request: Turn(text="yes", gate=self.gates[request.input]))
        self.model = queued(self.inner, parallel=self.parallel, max_queue=self.max_queue, clock=self.clock)

    async def ask(self, call: str) -> None:
        self.gates[call] = asyncio.Event()
        self.tasks[call] = asyncio.create_task(self._ask(call))
        await settle()

    async def finish(self, call: str) -> None:
        self.gates[call].set()
        await settle()

    async def cancel(self, call: str) -> None:
        self.tasks[call].cancel()
        await settle()

    async def _ask(self, call: str) -> Usage:
        request = ChatRequest(messages=ASK.messages, input=call)
        return (await complete(self.model.stream(request))).usage

    @property
    def begun(self) -> list[str]:
        return [request.input for request in self.inner.requests]


async def ask_at_once(model: ScheduledModel) -> None:
    """Ask, and fail rather than wait for ever where a refusal is due."""
    async with asyncio.timeout(5):
        await complete(model.stream(ASK))


async def test_queues_in_order_and_says_how_long_it_took() -> None:
    bench = Bench(parallel=1, max_queue=2)
    for call in "abc":
        await bench.ask(call)
    assert bench.begun == ["a"]
    assert bench.model.waiting == 2
    bench.clock.now = 3.0
    await bench.finish("a")
    assert bench.begun == ["a", "b"]
    bench.clock.now = 5.0
    await bench.finish("b")
    await bench.finish("c")
    assert [bench.tasks[call].result().queue_s for call in "abc"] == [0.0, 3.0, 5.0]


async def test_adds_its_wait_to_the_engine_s_own() -> None:
    inner = ScriptedModel([Turn(text="yes", usage=Usage(queue_s=1.5, output_tokens=1))])
    response = await complete(queued(inner).stream(ASK))
    assert response.usage == Usage(queue_s=1.5, output_tokens=1)


async def test_refuses_at_once_when_the_queue_is_full() -> None:
    bench = Bench(parallel=2, max_queue=1)
    for call in "abc":
        await bench.ask(call)
    with pytest.raises(Overloaded) as caught:
        await ask_at_once(bench.model)
    assert caught.value.why == "2 requests are in flight and 1 wait"
    for call in "abc":
        await bench.finish(call)


async def test_tells_from_past_calls_when_there_will_be_room() -> None:
    bench = Bench(parallel=2, max_queue=0)
    await bench.ask("a")
    bench.clock.now = 10.0
    await bench.finish("a")
    await bench.ask("b")
    bench.clock.now = 15.0
    await bench.finish("b")
    await bench.ask("c")
    await bench.ask("d")
    with pytest.raises(Overloaded) as caught:
        await ask_at_once(bench.model)
    assert caught.value.retry_after_s == pytest.approx((10.0 + 0.3 * (5.0 - 10.0)) / 2)
    await bench.finish("c")
    await bench.finish("d")


async def test_a_failed_or_closed_call_gives_its_place_back() -> None:
    inner = ScriptedModel([EngineDown("down"), "one two", "yes"])
    model = queued(inner, parallel=1, max_queue=0)
    with pytest.raises(EngineDown):
        await complete(model.stream(ASK))
    events = model.stream(ASK)
    await anext(events)
    await events.aclose()
    assert (await complete(model.stream(ASK))).text == "yes"


async def test_the_place_is_free_as_soon_as_the_response_is_there() -> None:
    model = queued(ScriptedModel("yes"), parallel=1, max_queue=0)
    unclosed = model.stream(ASK)
    await anext(unclosed)
    await anext(unclosed)
    assert (await complete(model.stream(ASK))).text == "yes"
    await unclosed.aclose()


Action = tuple[str, int]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "finish", "cancel"]), st.integers(0, 30)), max_size=30
)


@given(parallel=st.integers(1, 3), max_queue=st.integers(0, 4), actions=ACTIONS)
@settings(max_examples=60, deadline=None)
def test_bounds_order_and_places_hold_whatever_happens(
    parallel: int, max_queue: int, actions: Sequence[Action]
) -> None:
    asyncio.run(_check_invariants(parallel, max_queue, actions))


async def _check_invariants(parallel: int, max_queue: int, actions: Sequence[Action]) -> None:
    bench = Bench(parallel, max_queue)
    for action, number in actions:
        live = [call for call, task in bench.tasks.items() if not task.done()]
        if action == "ask":
            await bench.ask(str(len(bench.tasks)))
        elif live:
            await getattr(bench, action)(live[number % len(live)])
        assert bench.inner.running <= parallel
        assert bench.model.waiting <= max_queue
        assert bench.inner.running == parallel or bench.model.waiting == 0, "a place is empty and one waits"
        numbers = [int(call) for call in bench.begun]
        assert numbers == sorted(numbers), "overtaken in the queue"
    for gate in bench.gates.values():
        gate.set()
    endings = await asyncio.gather(*bench.tasks.values(), return_exceptions=True)
    assert all(isinstance(ending, Usage | Overloaded | asyncio.CancelledError) for ending in endings)
    assert (bench.inner.running, bench.model.waiting) == (0, 0)
    await bench.ask("last")
    await bench.finish("last")
    assert bench.tasks["last"].result().queue_s == 0.0
