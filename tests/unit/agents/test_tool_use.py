import asyncio
import json
import time

import pytest

from shoal.agents import Agent
from shoal.agents.tool_use import MAX_TOOL_CALLS, ToolUse
from shoal.core.chat import ChatRequest
from shoal.core.errors import DeadlineExceeded, RunError
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import ScriptedModel
from shoal.tools import Tool
from shoal.tools.tool import Effect
from shoal.tracing.record import RunRow
from shoal.tracing.scope import scope


def price(item: str) -> int:
    """What an item costs."""
    return {"card": 12}[item]


def step(tool: str, **args: object) -> str:
    return json.dumps({"tool": tool, "args": args})


ANSWER = json.dumps({"answer": "12 francs"})


def seller(*script: str, timeout_s: float = 120.0, tools: tuple[Tool, ...] = ()) -> Agent[str]:
    model = ScriptedModel(list(script))
    return Agent("seller", job="Sell.", model=model, tools=tools or (Tool.of(price),), timeout_s=timeout_s)


def asked(agent: Agent[str]) -> list[ChatRequest]:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests


async def test_a_tool_is_called_and_its_result_shown(runtime: LocalRuntime) -> None:
    agent = seller(step("price", item="card"), ANSWER)
    attempt = await agent.run("What is a card?", runtime=runtime)
    assert attempt.accepted
    assert (attempt.text, attempt.output) == ("12 francs", "12 francs")
    assert asked(agent)[1].messages[-1].content == "Result of price: 12"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (step("prise", item="card"), 'no tool is called "prise"'),
        (step("price", thing="card"), "item"),
        (step("price", item=[1]), "item"),
        (step("price", item="boat"), "KeyError"),
    ],
)
async def test_a_wrong_call_is_told_to_the_model_which_may_try_again(
    runtime: LocalRuntime, call: str, said: str
) -> None:
    agent = seller(call, ANSWER)
    attempt = await agent.run("What is a card?", runtime=runtime)
    assert attempt.accepted
    shown = asked(agent)[1].messages[-1].content
    assert said in shown
    assert "error" in shown


async def test_what_is_neither_call_nor_answer_is_repaired_and_the_calls_made_stay(
    runtime: LocalRuntime,
) -> None:
    agent = seller(step("price", item="card"), '{"tool": 3}', ANSWER)
    attempt = await agent.run("What is a card?", runtime=runtime)
    assert attempt.accepted
    assert attempt.signals.repairs == 1
    contents = [message.content for message in asked(agent)[2].messages]
    assert "Result of price: 12" in contents
    assert '{"tool": 3}' in contents


async def test_going_round_in_circles_ends(runtime: LocalRuntime) -> None:
    model = ScriptedModel(lambda _: step("price", item="card"))
    agent = Agent("seller", job="Sell.", model=model, tools=[Tool.of(price)])
    attempt = await agent.run("What is a card?", runtime=runtime)
    assert isinstance(attempt.failure, RunError)
    assert "circles" in attempt.failure.why
    assert len(model.requests) == MAX_TOOL_CALLS + 1


async def test_a_tool_that_hangs_ends_with_the_attempts_time(runtime: LocalRuntime) -> None:
    cancelled = asyncio.Event()

    async def wait(item: str) -> str:
        """Never returns."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return item

    agent = seller(step("wait", item="card"), timeout_s=0.1, tools=(Tool.of(wait),))
    attempt = await agent.run("What is a card?", runtime=runtime)
    assert isinstance(attempt.failure, DeadlineExceeded)
    assert cancelled.is_set()


class Orders:
    """A tool with an effect, and how often it happened."""

    def __init__(self, effect: Effect, *, dies: bool = False) -> None:
        self.placed: list[str] = []
        self._dies = dies

        def place(item: str) -> str:
            """Place an order."""
            self.placed.append(item)
            if self._dies:
                raise OSError("the line went dead")
            return f"order {len(self.placed)}"

        self.tool = Tool.of(place, effect=effect)


async def begin(runtime: LocalRuntime) -> None:
    await runtime.ledger.begin_run(RunRow(id="run", team="team", input="x", started_at=time.time()))


async def place(runtime: LocalRuntime, orders: Orders, *, at: str = "seller/1", times: int = 1) -> list[str]:
    """One attempt that uses the tool, as a resumed run makes it again."""
    tools = ToolUse([orders.tool], runtime.ledger, at)
    with scope(run_id="run"):
        return [await tools.call("place", {"item": "card"}) for _ in range(times)]


@pytest.mark.parametrize("effect", ["idempotent", "verifiable", "at_most_once"])
async def test_an_effect_that_is_done_is_not_done_again(runtime: LocalRuntime, effect: Effect) -> None:
    await begin(runtime)
    orders = Orders(effect)
    first = await place(runtime, orders, times=2)
    assert first == ["order 1", "order 2"]
    assert await place(runtime, orders, times=2) == first
    assert len(orders.placed) == 2
    assert await place(runtime, orders, at="seller/2") == ["order 3"]


@pytest.mark.parametrize(
    ("effect", "again"), [("idempotent", True), ("verifiable", False), ("at_most_once", False)]
)
async def test_an_effect_that_may_have_happened(runtime: LocalRuntime, effect: Effect, again: bool) -> None:
    await begin(runtime)
    orders = Orders(effect)
    if again:
        (said,) = await place(runtime, Orders(effect, dies=True))
        assert "the line went dead" in said
        assert await place(runtime, orders) == ["order 1"]
        return
    with pytest.raises(RunError, match="may have been done already"):
        await place(runtime, Orders(effect, dies=True))
    with pytest.raises(RunError, match="may have been done already") as caught:
        await place(runtime, orders)
    assert orders.placed == []
    assert "shoal trace run" in caught.value.mend


async def test_reading_and_work_outside_a_run_leave_nothing_in_the_ledger(runtime: LocalRuntime) -> None:
    await begin(runtime)
    await place(runtime, Orders("read"))
    tools = ToolUse([Orders("at_most_once").tool], runtime.ledger, "")
    assert await tools.call("place", {"item": "card"}) == "order 1"
    assert runtime.ledger.run("run").effects == ()


async def test_a_tool_call_that_breaks_off_at_its_length_limit_is_known_to(runtime: LocalRuntime) -> None:
    """Its JSON cannot be read either, but that is the symptom."""
    model = ScriptedModel('{"tool": "count", "args": {"word": "a long word"}}')
    agent = Agent("clerk", job="Count.", model=model, tools=[Tool.of(count)], max_tokens=3)
    attempt = await agent.run("How long is it?", runtime=runtime)
    assert attempt.signals.truncated
    assert not attempt.accepted


def count(word: str) -> int:
    """Letters of a word."""
    return len(word)
