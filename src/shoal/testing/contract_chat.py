"""What every `ChatModel` promises, as tests. Needs pytest and pytest-asyncio (`asyncio_mode = "auto"`).

Subclass it in a test module and define the fixtures that differ:

    class TestMyEngine(ChatModelContract):
        @pytest.fixture
        async def model(self):                 # required: a model ready to answer
            model = MyEngineModel(...)
            yield model
            await model.aclose()

        @pytest.fixture
        def missing_model(self):               # where the engine can lack a model
            return MyEngineModel(model="no-such-model")

Adapters over a network are tested twice: against a fake server, which can misbehave, and against a real one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import ContextOverflow, ModelMissing
from shoal.core.port import ChatModel

__all__ = ["ChatModelContract", "Colour"]


class Colour(BaseModel):
    """The answer that the schema tests ask for."""

    model_config = ConfigDict(extra="forbid")
    colour: Literal["red", "green", "blue"]


class ChatModelContract:
    """Inherit from it to test an adapter."""

    repeatable: ClassVar[bool] = True
    """The same greedy request gives the same text twice."""

    @pytest.fixture
    def missing_model(self) -> ChatModel | None:
        """A model that the engine does not have; None = the engine cannot lack one."""
        return None

    def plain_request(self) -> ChatRequest:
        """A request whose answer has at least two tokens."""
        text = "Count from one to ten in words."
        return ChatRequest(messages=(Message("user", text),), max_tokens=16, input=text)

    def colour_request(self) -> ChatRequest:
        """A request that is to be answered as a `Colour`."""
        text = "Which colour is grass? Answer in JSON."
        return ChatRequest(
            messages=(Message("user", text),), max_tokens=32, input=text, schema=Colour.model_json_schema()
        )

    def marked_request(self, mark: str) -> ChatRequest:
        """A request whose answer must hold `mark`: the schema allows nothing else."""
        text = f'Answer with the JSON object {{"mark": "{mark}"}}.'
        schema = {
            "type": "object",
            "properties": {"mark": {"type": "string", "enum": [mark]}},
            "required": ["mark"],
            "additionalProperties": False,
        }
        return ChatRequest(messages=(Message("user", text),), max_tokens=32, input=text, schema=schema)

    async def test_names_itself_and_its_engine(self, model: ChatModel) -> None:
        engine, colon, name = model.name.partition(":")
        assert engine
        assert colon
        assert name
        assert (await model.describe()).name == model.name

    async def test_deltas_join_to_the_one_response_at_the_end(self, model: ChatModel) -> None:
        events = await _read(model, self.plain_request())
        deltas = [event for event in events if isinstance(event, ChatDelta)]
        response = events[-1]
        assert isinstance(response, ChatResponse)
        assert len(deltas) == len(events) - 1, "more than one response"
        assert response.text == "".join(delta.text for delta in deltas)
        assert response.tokens == tuple(token for delta in deltas for token in delta.tokens)
        assert response.model == model.name

    async def test_folding_the_stream_gives_the_complete_answer(self, model: ChatModel) -> None:
        streamed = _response(await _read(model, self.plain_request()))
        folded = await complete(model.stream(self.plain_request()))
        assert folded.finish_reason == streamed.finish_reason
        assert folded.text == streamed.text or not self.repeatable

    async def test_counts_what_it_used_or_says_none(self, model: ChatModel) -> None:
        request = self.plain_request()
        usage = (await complete(model.stream(request))).usage
        tokens = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
        seconds = (usage.queue_s, usage.load_s, usage.prefill_s, usage.decode_s, usage.first_token_s)
        assert all(value is None or value >= 0 for value in (*tokens, *seconds))
        assert usage.output_tokens is None or usage.output_tokens <= request.max_tokens
        if usage.cached_tokens is not None and usage.input_tokens is not None:
            assert usage.cached_tokens <= usage.input_tokens, "cached tokens are part of the prompt"

    async def test_closing_early_leaves_the_model_usable(self, model: ChatModel) -> None:
        async with aclosing(model.stream(self.plain_request())) as events:
            async for _ in events:
                break
        never_started = model.stream(self.plain_request())
        await never_started.aclose()
        assert (await complete(model.stream(self.plain_request()))).text

    async def test_cancelling_leaves_the_model_usable(self, model: ChatModel) -> None:
        started = asyncio.Event()

        async def ask_until_cancelled() -> None:
            async with aclosing(model.stream(self.plain_request())) as events:
                async for _ in events:
                    started.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(ask_until_cancelled())
        first = asyncio.create_task(started.wait())
        await asyncio.wait([task, first], return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await complete(model.stream(self.plain_request()))).text

    async def test_an_answer_under_a_schema_validates(self, model: ChatModel) -> None:
        if "schema" not in (await model.describe()).capabilities:
            pytest.skip("the engine constrains nothing")
        response = await complete(model.stream(self.colour_request()))
        assert response.finish_reason == "stop"
        assert Colour.model_validate_json(response.text)

    async def test_gives_no_logprobs_unasked(self, model: ChatModel) -> None:
        events = await _read(model, self.plain_request())
        assert _response(events).tokens == ()

    async def test_gives_logprobs_that_accumulate_to_the_text(self, model: ChatModel) -> None:
        request = _with_logprobs(self.plain_request(), top=3)
        response = await complete(model.stream(request))
        if "logprobs" not in (await model.describe()).capabilities:
            assert response.tokens == (), "logprobs are a wish: without the capability there are none"
            return
        assert response.tokens
        assert response.text.strip() in "".join(token.text for token in response.tokens)
        for token in response.tokens:
            logprobs = [logprob for _, logprob in token.top]
            assert token.logprob <= 1e-6
            assert len(logprobs) <= 3
            assert logprobs == sorted(logprobs, reverse=True)

    async def test_concurrent_requests_do_not_mix(self, model: ChatModel) -> None:
        marks = [f"mark-{letter}" for letter in "abcd"]
        streams = [complete(model.stream(self.marked_request(mark))) for mark in marks]
        responses = await asyncio.gather(*streams)
        for mark, response in zip(marks, responses, strict=True):
            assert mark in response.text
            assert not any(other in response.text for other in marks if other != mark)

    async def test_a_prompt_that_is_too_long_is_refused(self, model: ChatModel) -> None:
        num_ctx = (await model.describe()).num_ctx
        if num_ctx is None:
            pytest.skip("the engine does not say how long a prompt may be")
        text = "word " * (num_ctx + 1)
        request = ChatRequest(messages=(Message("user", text),), max_tokens=1, input=text)
        with pytest.raises(ContextOverflow) as caught:
            await complete(model.stream(request))
        assert caught.value.mend
        assert (await complete(model.stream(self.plain_request()))).text

    async def test_a_missing_model_is_named_with_its_mend(self, missing_model: ChatModel | None) -> None:
        if missing_model is None:
            pytest.skip("the engine cannot lack a model")
        with pytest.raises(ModelMissing) as caught:
            await complete(missing_model.stream(self.plain_request()))
        await missing_model.aclose()
        assert missing_model.name.partition(":")[2] in str(caught.value)
        assert caught.value.mend

    async def test_closes_twice(self, model: ChatModel) -> None:
        assert await _read(model, self.plain_request())
        await model.aclose()
        await model.aclose()


def _with_logprobs(request: ChatRequest, *, top: int) -> ChatRequest:
    return ChatRequest(
        messages=request.messages, max_tokens=request.max_tokens, input=request.input, top_logprobs=top
    )


def _response(events: Sequence[ChatEvent]) -> ChatResponse:
    assert isinstance(events[-1], ChatResponse)
    return events[-1]


async def _read(model: ChatModel, request: ChatRequest) -> list[ChatEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]
