import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import ConfigError, ModelError, OutputInvalid, RequestRefused
from shoal.core.passage import Passage
from shoal.models.function import FunctionModel, ModelFunction, Scored


class Order(BaseModel):
    order_id: str
    total: float


@dataclass
class Plain:
    count: int


async def ask(function: ModelFunction, text: str = "hello", **changes: Any) -> ChatResponse:
    request = ChatRequest(messages=(Message("user", f"Prompt around {text}"),), input=text, **changes)
    return await complete(FunctionModel(function).stream(request))


def shout(text: str) -> str:
    return text.upper()


async def test_gives_the_function_the_text_and_not_the_prompt() -> None:
    request = ChatRequest(messages=(Message("user", "the prompt"),), input="the text")
    events = [event async for event in FunctionModel(shout).stream(request)]
    assert events[:-1] == [ChatDelta(text="THE TEXT")]
    assert isinstance(events[-1], ChatResponse)
    assert events[-1].text == "THE TEXT"
    assert events[-1].model == FunctionModel(shout).name == "python:shout"
    assert events[-1].probability == 1.0


async def test_uses_no_tokens_and_some_time() -> None:
    usage = (await ask(shout)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (0, 0, 0)
    assert usage.queue_s is not None
    assert usage.decode_s is not None
    assert usage.first_token_s == pytest.approx(usage.queue_s + usage.decode_s)


@pytest.mark.parametrize(
    ("result", "text", "under_schema"),
    [
        ("a label", "a label", '"a label"'),
        (Order(order_id="A1", total=2.5), '{"order_id":"A1","total":2.5}', '{"order_id":"A1","total":2.5}'),
        (Plain(count=3), '{"count":3}', '{"count":3}'),
        ({"a": [1, None]}, '{"a":[1,null]}', '{"a":[1,null]}'),
        (3, "3", "3"),
        (False, "false", "false"),
        (None, "", "null"),
        ("", "", '""'),
    ],
)
async def test_results_become_text_or_json(result: object, text: str, under_schema: str) -> None:
    assert (await ask(lambda text: result)).text == text
    assert (await ask(lambda text: result, schema={"type": "object"})).text == under_schema


async def test_an_empty_answer_has_no_delta() -> None:
    request = ChatRequest(messages=(), input="text")
    events = [event async for event in FunctionModel(lambda text: "").stream(request)]
    assert len(events) == 1


async def test_passages_reach_a_function_that_asks_for_them() -> None:
    def quote(text: str, passages: tuple[Passage, ...]) -> str:
        return f"{text}: {passages[0].text}"

    passage = Passage(text="found", source="book.md", start=0, end=5)
    assert (await ask(quote, "sought", passages=(passage,))).text == "sought: found"


async def test_a_scored_result_carries_its_probability() -> None:
    response = await ask(lambda text: Scored(Order(order_id="A1", total=1), 0.75))
    assert response.probability == 0.75
    assert Order.model_validate_json(response.text).order_id == "A1"


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
async def test_refuses_what_is_no_probability(probability: float) -> None:
    with pytest.raises(ModelError, match="gave the probability"):
        await ask(lambda text: Scored("x", probability))


class Caller:
    async def __call__(self, text: str) -> str:
        return text + text


async def add(text: str, *, suffix: str = "!") -> str:
    await asyncio.sleep(0)
    return text + suffix


@pytest.mark.parametrize(
    ("function", "text", "name"),
    [
        (add, "hello!", "python:add"),
        (Caller(), "hellohello", "python:Caller"),
        (functools.partial(add, suffix="?"), "hello?", "python:partial"),
        (str.upper, "HELLO", "python:upper"),
    ],
)
async def test_anything_that_can_be_called_with_a_text(function: ModelFunction, text: str, name: str) -> None:
    response = await ask(function)
    assert response.text == text
    assert response.model == name


async def test_a_sync_function_does_not_block_the_event_loop() -> None:
    released = threading.Event()

    def wait(text: str) -> str:
        assert released.wait(timeout=10)
        return "released"

    answer = asyncio.create_task(ask(wait))
    await asyncio.sleep(0)
    released.set()
    assert (await answer).text == "released"


async def test_a_failure_names_the_line_that_raised() -> None:
    def divide(text: str) -> str:
        return str(1 / len(text))

    with pytest.raises(ModelError) as caught:
        await ask(divide, "")
    line = divide.__code__.co_firstlineno + 1
    assert caught.value.what == "python:divide raised ZeroDivisionError: division by zero"
    assert caught.value.why == f"raised at {__file__}:{line}"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_failure_of_an_async_function_and_stop_iteration_are_failures_too() -> None:
    async def fail(text: str) -> str:
        raise KeyError(text)

    def stop(text: str) -> str:
        return next(iter([]))

    for function, name in [(fail, "KeyError"), (stop, "StopIteration")]:
        with pytest.raises(ModelError, match=name):
            await ask(function)


async def test_errors_of_shoal_pass_unchanged() -> None:
    error = OutputInvalid("not an order", text="?")

    def refuse(text: str) -> str:
        raise error

    with pytest.raises(OutputInvalid) as caught:
        await ask(refuse)
    assert caught.value is error


async def test_a_result_that_is_no_json_is_named() -> None:
    with pytest.raises(ModelError, match="returned object, which is neither text nor JSON"):
        await ask(lambda text: object())


async def test_has_no_weights_for_an_adapter() -> None:
    with pytest.raises(RequestRefused):
        await ask(shout, adapter="lora.gguf")


async def test_describes_itself_as_local_and_tokenless() -> None:
    model = FunctionModel(shout)
    info = await model.describe()
    assert not info.remote
    assert "logprobs" not in info.capabilities
    assert await model.count_tokens(ChatRequest(messages=(Message("user", "many words"),))) == 0


def no_text() -> str:
    return ""


def two_texts(text: str, other: str) -> str:
    return text + other


def keyword(text: str, *, needed: int) -> str:
    return text * needed


def yields(text: str) -> Iterator[str]:
    yield text


async def yields_later(text: str) -> AsyncGenerator[str]:
    yield text


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_text, "it takes no text"),
        (two_texts, "nobody gives it other"),
        (keyword, "nobody gives it needed"),
        (yields, "it yields"),
        (yields_later, "it yields"),
    ],
)
def test_refuses_signatures_it_cannot_call(function: Any, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FunctionModel(function)
    assert caught.value.why == why
    assert caught.value.mend
