"""The contract suite notices models that break their promises."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

import pytest

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, TokenLogprob
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import Usage
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.scripted import ScriptedModel

Spoil = Callable[[ChatEvent], list[ChatEvent]]
Promise = Callable[[ChatModelContract, ChatModel], Awaitable[None]]
TOKEN = TokenLogprob(text="x", logprob=-1.0, top=(("x", -1.0), ("y", -0.5)))


class Spoiled:
    """A good model, each of whose events is put through `spoil`."""

    def __init__(self, spoil: Spoil, *, says: str = "scripted:model") -> None:
        self._inner = ScriptedModel("one two three", name=says)
        self._spoil = spoil
        self.name = "scripted:model"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        # Nothing is refused: this model cuts what does not fit.
        short = replace(request, messages=request.messages[:1], max_tokens=min(request.max_tokens, 16))
        if len(request.messages[0].content) > 1000:
            short = replace(short, messages=())
        async for event in self._inner.stream(short):
            for spoiled in self._spoil(event):
                yield spoiled

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def keep(event: ChatEvent) -> list[ChatEvent]:
    return [event]


def repeat_deltas(event: ChatEvent) -> list[ChatEvent]:
    return [event, event] if isinstance(event, ChatDelta) else [event]


def repeat_response(event: ChatEvent) -> list[ChatEvent]:
    return [event, event] if isinstance(event, ChatResponse) else [event]


def drop_response(event: ChatEvent) -> list[ChatEvent]:
    return [] if isinstance(event, ChatResponse) else [event]


def count(usage: Usage) -> Spoil:
    return lambda event: [replace(event, usage=usage) if isinstance(event, ChatResponse) else event]


def volunteer_tokens(event: ChatEvent) -> list[ChatEvent]:
    return [replace(event, tokens=(TOKEN,))]


def forget_tokens(event: ChatEvent) -> list[ChatEvent]:
    return [replace(event, tokens=())]


@pytest.mark.parametrize(
    ("spoil", "promise"),
    [
        (repeat_deltas, ChatModelContract.test_deltas_join_to_the_one_response_at_the_end),
        (repeat_response, ChatModelContract.test_deltas_join_to_the_one_response_at_the_end),
        (drop_response, ChatModelContract.test_deltas_join_to_the_one_response_at_the_end),
        (count(Usage(output_tokens=-1)), ChatModelContract.test_counts_what_it_used_or_says_none),
        (count(Usage(output_tokens=17)), ChatModelContract.test_counts_what_it_used_or_says_none),
        (
            count(Usage(input_tokens=3, cached_tokens=4)),
            ChatModelContract.test_counts_what_it_used_or_says_none,
        ),
        (volunteer_tokens, ChatModelContract.test_gives_no_logprobs_unasked),
        (forget_tokens, ChatModelContract.test_gives_logprobs_that_accumulate_to_the_text),
        (volunteer_tokens, ChatModelContract.test_gives_logprobs_that_accumulate_to_the_text),
        (keep, ChatModelContract.test_an_answer_under_a_schema_validates),
        (keep, ChatModelContract.test_concurrent_requests_do_not_mix),
        (keep, ChatModelContract.test_a_prompt_that_is_too_long_is_refused),
    ],
)
async def test_a_broken_promise_is_noticed(spoil: Spoil, promise: Promise) -> None:
    # AssertionError, ValidationError (a ValueError), or pytest's own "did not raise".
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        await promise(ChatModelContract(), Spoiled(spoil))


async def test_a_model_that_gives_itself_another_name_is_noticed() -> None:
    with pytest.raises(AssertionError):
        await ChatModelContract().test_names_itself_and_its_engine(Spoiled(keep, says="scripted:other"))
