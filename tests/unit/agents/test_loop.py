import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationInfo, field_validator

from shoal.agents import Agent, Attempt, HardChecks, Repairing, Task, attempt_events
from shoal.agents.attempt import AgentEvent
from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    DeadlineExceeded,
    EngineDown,
    InputError,
    OutputInvalid,
    StreamBroken,
)
from shoal.core.passage import Passage
from shoal.core.port import ModelInfo, Retriever
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import Script, ScriptedModel, Turn

GOOD = '{"order_id": "A7", "total": 12.5}'


class Order(BaseModel):
    order_id: str
    total: float


@dataclass
class Point:
    x: int
    y: int


def orders(script: Script, **fields: Any) -> Agent[Order]:
    return Agent("orders", job="Read.", model=ScriptedModel(script), output=Order, **fields)


def texts(script: Script, **fields: Any) -> Agent[str]:
    return Agent("writer", job="Write.", model=ScriptedModel(script), **fields)


def asked(agent: Agent[Any]) -> list[ChatRequest]:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests


async def read(agent: Agent[Any], runtime: LocalRuntime, text: str = "order A7") -> list[AgentEvent[Any]]:
    async with aclosing(agent.stream(text, runtime=runtime)) as events:
        return [event async for event in events]


BROKEN = Turn(text="one two three", at=2, error=StreamBroken("died"))


@pytest.mark.parametrize(
    "script",
    [
        [GOOD],
        ["plain words here", "more", f"```\n{GOOD}\n```"],
        ["not json", GOOD],
        ["not json", "{}", "still not"],
        ["", GOOD],
        [BROKEN],
        ["no", BROKEN],
        [EngineDown("gone")],
    ],
)
async def test_folding_the_stream_gives_the_unstreamed_attempt(
    runtime: LocalRuntime, script: list[Any]
) -> None:
    events = await read(orders(list(script)), runtime)
    folded = await orders(list(script)).run("order A7", runtime=runtime)
    (*before, streamed) = events
    assert isinstance(streamed, Attempt)
    assert not [event for event in before if isinstance(event, Attempt)]
    same = ("text", "output", "signals", "verdict")
    assert [getattr(streamed, name) for name in same] == [getattr(folded, name) for name in same]
    assert type(streamed.failure) is type(folded.failure)
    text = ""
    for event in before:
        text = text + event.text if isinstance(event, ChatDelta) else ""
    assert text == streamed.text


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("certainly, here is the order", "JSON"),
        ('{"order_id": "A7"}', "total"),
        ('{"order_id": "A7", "total": "much"}', "total"),
        ("[1, 2]", "object"),
        ('{"order_id": "A7", "total": 12.5', "EOF"),
        ('"\\ud800', "JSON"),
    ],
)
async def test_a_wrong_answer_is_asked_for_again_with_its_fault_named(
    runtime: LocalRuntime, bad: str, named: str
) -> None:
    agent = orders([bad, GOOD])
    attempt = await agent.run("order A7", runtime=runtime)
    assert attempt.accepted
    assert attempt.output == Order(order_id="A7", total=12.5)
    assert attempt.signals.repairs == 1
    answer, complaint = asked(agent)[1].messages[-2:]
    assert answer.content == bad
    assert named.lower() in complaint.content.lower()


async def test_after_two_repairs_the_failure_is_typed_and_kept(runtime: LocalRuntime) -> None:
    agent = orders(lambda _: "no json")
    events = await read(agent, runtime)
    attempt = events[-1]
    assert isinstance(attempt, Attempt)
    assert isinstance(attempt.failure, OutputInvalid)
    assert (attempt.output, attempt.text, attempt.verdict.action) == (None, "no json", "abstain")
    assert attempt.signals.schema_valid is False
    assert len(asked(agent)) == 3
    assert len([event for event in events if isinstance(event, Repairing)]) == 2
    with pytest.raises(OutputInvalid):
        attempt.unwrap()


@pytest.mark.parametrize("fenced", [f"```json\n{GOOD}\n```", f"```\n{GOOD}```", f"  {GOOD}\n\n"])
async def test_a_fence_around_json_is_taken_off(runtime: LocalRuntime, fenced: str) -> None:
    attempt = await orders([fenced]).run("order A7", runtime=runtime)
    assert attempt.output == Order(order_id="A7", total=12.5)
    assert attempt.text == fenced


class Found(BaseModel):
    words: list[str]

    @field_validator("words")
    @classmethod
    def _in_the_request(cls, words: list[str], info: ValidationInfo) -> list[str]:
        return [word for word in words if info.context and word in info.context["input"]]


async def test_an_output_type_may_read_what_was_asked(runtime: LocalRuntime) -> None:
    script = [json.dumps({"words": ["order", "B8", "A7"]})]
    agent = Agent("finder", job="Find.", model=ScriptedModel(script), output=Found)

    attempt = await agent.run("order A7", runtime=runtime)

    assert attempt.unwrap().words == ["order", "A7"]
    assert attempt.text == script[0]


@pytest.mark.parametrize(
    ("turn", "signal"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        (Turn(text="Hello there", finish_reason="refusal"), "refusal"),
        ("again " * 600, "truncated"),
    ],
)
async def test_an_answer_that_is_none_is_never_accepted(
    runtime: LocalRuntime, turn: str | Turn, signal: str
) -> None:
    agent = texts(lambda _: turn)
    attempt = await agent.run("say it", runtime=runtime)
    assert getattr(attempt.signals, signal) is True
    assert not attempt.accepted
    assert len(asked(agent)) == 3
    with pytest.raises(OutputInvalid):
        attempt.unwrap()


async def test_a_ten_megabyte_answer_is_read_in_reasonable_time(runtime: LocalRuntime) -> None:
    text = json.dumps({"order_id": "x" * 10_000_000, "total": 1})
    began = time.perf_counter()
    attempt = await orders([text]).run("order A7", runtime=runtime)
    assert attempt.accepted
    assert len(attempt.unwrap().order_id) == 10_000_000
    assert time.perf_counter() - began < 20


async def test_many_values_in_many_tokens_are_matched_in_reasonable_time(runtime: LocalRuntime) -> None:
    info = ModelInfo(name="scripted:model", num_ctx=None, capabilities=frozenset({"logprobs"}))
    model = ScriptedModel([json.dumps(list(range(20_000)))], info=info)
    agent = Agent("lister", job="List.", model=model, output=list[int], max_tokens=100_000)
    began = time.perf_counter()
    attempt = await agent.run("list", runtime=runtime)
    assert attempt.unwrap()[-1] == 19_999
    assert time.perf_counter() - began < 20


async def test_the_whole_attempt_has_a_deadline_and_closes_its_stream(runtime: LocalRuntime) -> None:
    agent = texts([Turn(text="one two three", at=1, gate=asyncio.Event())], timeout_s=0.5)
    attempt = await agent.run("wait", runtime=runtime)
    failure = attempt.failure
    assert isinstance(failure, DeadlineExceeded)
    assert (failure.phase, failure.limit_s) == ("total", 0.5)
    assert "timeout_s=1" in failure.mend
    assert attempt.text == "one"
    assert isinstance(agent.model, ScriptedModel)
    assert (agent.model.closed_early, agent.model.running) == (1, 0)


async def test_repairs_and_calls_share_the_deadline(runtime: LocalRuntime) -> None:
    hang = Turn(text="never", gate=asyncio.Event())
    attempt = await orders(["no json", hang], timeout_s=0.2).run("order A7", runtime=runtime)
    assert isinstance(attempt.failure, DeadlineExceeded)
    assert attempt.signals.repairs == 1


class HangingIndex(LocalRuntime):
    async def retriever(self, knowledge: str) -> Retriever:
        await asyncio.Event().wait()
        raise AssertionError(knowledge)


async def test_looking_up_is_part_of_the_deadline(runtime: LocalRuntime) -> None:
    agent = texts(["never asked"], knowledge="docs", timeout_s=0.05)
    hanging = HangingIndex(runtime.settings)
    attempt = await agent.run("look up", runtime=hanging)
    await hanging.aclose()
    assert isinstance(attempt.failure, DeadlineExceeded)
    assert asked(agent) == []


async def test_cancelling_closes_the_stream_and_the_ledger_says_cancelled(runtime: LocalRuntime) -> None:
    agent = texts([Turn(text="one two", at=1, gate=asyncio.Event())])
    task = asyncio.create_task(agent.run("wait", runtime=runtime))
    assert isinstance(agent.model, ScriptedModel)
    while not agent.model.running:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (agent.model.closed_early, agent.model.running) == (1, 0)
    assert runtime.ledger.totals().overall.failed_calls == 1


async def test_a_consumer_that_stops_reading_closes_the_stream(runtime: LocalRuntime) -> None:
    agent = texts(["one two three"])
    async with aclosing(agent.stream("go", runtime=runtime)) as events:
        async for _ in events:
            break
    assert isinstance(agent.model, ScriptedModel)
    assert agent.model.running == 0


async def test_a_failing_check_is_repaired_and_named(runtime: LocalRuntime) -> None:
    def has_a_positive_total(text: str, order: Order) -> bool:
        assert text == "order A7"
        return order.total > 0

    bad = '{"order_id": "A7", "total": -1}'
    agent = orders([bad, GOOD], checks=[has_a_positive_total])
    events = await read(agent, runtime)
    (repairing,) = [event for event in events if isinstance(event, Repairing)]
    assert "has_a_positive_total" in repairing.verdict.reason
    assert isinstance(events[-1], Attempt)
    assert events[-1].accepted
    assert "has_a_positive_total" in asked(agent)[1].messages[-1].content


async def test_a_check_that_raises_is_the_callers_bug_and_said_so(runtime: LocalRuntime) -> None:
    def broken(text: str, output: str) -> bool:
        return json.loads(output)["key"] == text

    with pytest.raises(ConfigError, match="the check broken of writer failed") as caught:
        await texts(["hello"], checks=[broken]).run("hello", runtime=runtime)
    assert "JSONDecodeError" in caught.value.why


@pytest.mark.parametrize(
    ("output", "text", "value"),
    [
        (str, " hello \n", "hello"),
        (Order, GOOD, Order(order_id="A7", total=12.5)),
        (Literal["yes", "no"], '"yes"', "yes"),
        (list[int], "[1, 2]", [1, 2]),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Order | None, "null", None),
        (int, "42", 42),
    ],
)
async def test_outputs_are_of_the_agents_type(
    runtime: LocalRuntime, output: Any, text: str, value: Any
) -> None:
    agent = Agent("any", job="Answer.", model=ScriptedModel([text]), output=output)
    attempt = await agent.run("go", runtime=runtime)
    assert attempt.accepted
    assert attempt.output == value
    assert asked(agent)[0].schema == agent.schema


async def test_an_answer_outside_the_labels_is_no_answer(runtime: LocalRuntime) -> None:
    label: Any = Literal["yes", "no"]
    agent = Agent("label", job="Label.", model=ScriptedModel(lambda _: '"maybe"'), output=label)
    attempt = await agent.run("go", runtime=runtime)
    assert not attempt.accepted
    assert "'yes' or 'no'" in (attempt.failure.why if attempt.failure else "")


async def test_knowledge_and_earlier_answers_are_quoted_and_scored(
    runtime: LocalRuntime, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cards.md").write_text("# Cards\n\nA new card costs 12 francs.\n")
    agent = texts(["12 francs"], knowledge="docs")
    earlier = Passage(text="the customer is Ada", source="answer 1", start=0, end=19)
    task = Task(
        agent=agent, text="What is a new card?", runtime=runtime, judge=HardChecks(), context=(earlier,)
    )
    events = [event async for event in attempt_events(task)]
    attempt = events[-1]
    assert isinstance(attempt, Attempt)
    assert attempt.passages[0] == earlier
    assert any("12 francs" in passage.text for passage in attempt.passages[1:])
    (request,) = asked(agent)
    question = request.messages[-1].content
    assert question.index("the customer is Ada") < question.index("12 francs")
    assert question.endswith("What is a new card?")
    assert request.passages == attempt.passages
    assert attempt.signals.retrieval_support is not None
    assert attempt.signals.retrieval_support > 0.3


async def test_a_knowledge_folder_that_is_not_there_is_raised_with_its_mend(runtime: LocalRuntime) -> None:
    with pytest.raises(ConfigError, match="no knowledge folder"):
        await texts(["x"], knowledge="absent").run("hello", runtime=runtime)


@pytest.mark.parametrize("text", ["", " \n", "a\0b", "x" * 1_000_001])
async def test_what_is_no_request_is_refused_before_anything_is_asked(
    runtime: LocalRuntime, text: str
) -> None:
    agent = texts(["never"])
    with pytest.raises(InputError):
        await agent.run(text, runtime=runtime)
    assert asked(agent) == []


async def test_examples_come_before_the_text_and_look_like_answers(runtime: LocalRuntime) -> None:
    agent = orders([GOOD], examples=[("order B8", Order(order_id="B8", total=1))], instructions="Be exact.")
    await agent.run("order A7", runtime=runtime)
    system, example, shown, question = asked(agent)[0].messages
    assert system.content.startswith("Read.\n\nBe exact.")
    assert example.content == "order B8"
    assert Order.model_validate_json(shown.content).order_id == "B8"
    assert question.content == "order A7"


async def test_a_model_that_ends_without_a_response_is_a_broken_stream(runtime: LocalRuntime) -> None:
    attempt = await Agent("silent", job="Say.", model=Silent()).run("hello", runtime=runtime)
    assert isinstance(attempt.failure, StreamBroken)


class Silent:
    """Breaks the port's promise: its stream has no response."""

    def __init__(self) -> None:
        self._inner = ScriptedModel("word")

    @property
    def name(self) -> str:
        return "silent:model"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        async with aclosing(self._inner.stream(request)) as events:
            async for event in events:
                if not isinstance(event, ChatResponse):
                    yield event

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None: ...


NUMBERS = ["one", "two", "three", "four"]


def reader(script: Script, num_ctx: int, **fields: Any) -> Agent[str]:
    """Reads passages of 30 words each; job, question and answer take about 30."""
    model = ScriptedModel(script, info=ModelInfo(name="scripted:model", num_ctx=num_ctx))
    return Agent("reader", job="Read.", model=model, knowledge="docs", max_tokens=8, **fields)


@pytest.fixture
def docs(runtime: LocalRuntime) -> None:
    folder = (runtime.settings.root or Path()) / "docs"
    folder.mkdir()
    for number in NUMBERS:
        (folder / f"{number}.md").write_text(f"The price of shipping to place {number} is low. " * 3)


@pytest.mark.usefixtures("docs")
async def test_a_prompt_that_does_not_fit_is_refused_by_default(runtime: LocalRuntime) -> None:
    agent = reader("never", 80)
    attempt = await agent.run("What is the price of shipping?", runtime=runtime)
    assert isinstance(attempt.failure, ContextOverflow)
    assert attempt.text == ""
    assert len(asked(agent)) == 1


@pytest.mark.usefixtures("docs")
async def test_the_weakest_passages_are_left_out_where_the_agent_says_so(runtime: LocalRuntime) -> None:
    agent = reader("It is low.", 80, on_overflow="fewer_passages")
    attempt = await agent.run("What is the price of shipping?", runtime=runtime)
    tried = [[passage.source for passage in request.passages] for request in asked(agent)]
    scores = {passage.source: passage.score or 0.0 for passage in asked(agent)[0].passages}
    best = sorted(scores, key=lambda source: -scores[source])
    assert attempt.accepted
    assert [sorted(sources) for sources in tried] == [sorted(best[:count]) for count in (4, 3, 2)]
    assert attempt.passages == asked(agent)[-1].passages
    assert "shipping?" in asked(agent)[-1].messages[-1].content


@pytest.mark.usefixtures("docs")
async def test_with_no_passage_left_it_is_refused_all_the_same(runtime: LocalRuntime) -> None:
    agent = reader("never", 10, on_overflow="fewer_passages")
    attempt = await agent.run("What is the price of shipping?", runtime=runtime)
    assert isinstance(attempt.failure, ContextOverflow)
    assert len(asked(agent)) == 5
