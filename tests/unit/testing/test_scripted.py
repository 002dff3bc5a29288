import asyncio
from contextlib import aclosing

import pytest

from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, Message, TokenLogprob, complete
from shoal.core.errors import ContextOverflow, EngineDown, StreamBroken
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import Usage
from shoal.testing.scripted import ScriptedModel, Turn

ASK = ChatRequest(messages=(Message("user", "say it now"),))


async def test_is_a_chat_model() -> None:
    assert isinstance(ScriptedModel("yes"), ChatModel)


async def test_streams_a_word_a_delta_and_keeps_the_spaces() -> None:
    events = [event async for event in ScriptedModel("  one\ntwo  three ").stream(ASK)]
    assert [event.text for event in events[:-1]] == ["  one", "\ntwo", "  three", " "]
    assert isinstance(events[-1], ChatResponse)
    assert events[-1].text == "  one\ntwo  three "
    assert events[-1].usage == Usage(input_tokens=3, output_tokens=4)


async def test_answers_in_order_and_records_what_was_asked() -> None:
    model = ScriptedModel(["first", Turn(text="second", probability=0.25)])
    other = ChatRequest(messages=(Message("user", "another"),))
    assert (await complete(model.stream(ASK))).text == "first"
    assert (await complete(model.stream(other))).probability == 0.25
    assert model.requests == [ASK, other]


async def test_the_end_of_the_script_fails_the_test() -> None:
    model = ScriptedModel(["only one"])
    await complete(model.stream(ASK))
    with pytest.raises(AssertionError, match="no answer for call 2"):
        await complete(model.stream(ASK))


async def test_one_text_answers_every_request() -> None:
    model = ScriptedModel("again")
    assert [(await complete(model.stream(ASK))).text for _ in range(3)] == ["again"] * 3


async def test_a_function_answers_from_the_request() -> None:
    model = ScriptedModel(lambda request: request.messages[-1].content.upper())
    assert (await complete(model.stream(ASK))).text == "SAY IT NOW"


async def test_raises_in_place_of_an_answer() -> None:
    error = EngineDown("nobody is there")
    with pytest.raises(EngineDown) as caught:
        await complete(ScriptedModel([error]).stream(ASK))
    assert caught.value is error


@pytest.mark.parametrize("at", [0, 1, 2, 9])
async def test_raises_after_the_given_delta(at: int) -> None:
    model = ScriptedModel([Turn(text="one two", at=at, error=StreamBroken("broke"))])
    events = model.stream(ASK)
    for word in ["one", " two"][:at]:
        assert await anext(events) == ChatDelta(text=word)
    with pytest.raises(StreamBroken):
        await anext(events)


async def test_waits_at_its_gate() -> None:
    gate = asyncio.Event()
    model = ScriptedModel([Turn(text="one two", at=1, gate=gate)])
    async with aclosing(model.stream(ASK)) as events:
        assert await anext(events) == ChatDelta(text="one")
        rest = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        assert not rest.done()
        gate.set()
        assert await rest == ChatDelta(text=" two")


async def test_counts_streams_that_were_closed_early() -> None:
    model = ScriptedModel("one two")
    async with aclosing(model.stream(ASK)) as events:
        await anext(events)
        assert model.running == 1
    assert model.closed_early == 1
    assert model.running == 0
    await complete(model.stream(ASK))
    assert model.closed_early == 1


async def test_stops_at_max_tokens() -> None:
    short = ChatRequest(messages=ASK.messages, max_tokens=2)
    response = await complete(ScriptedModel("one two three").stream(short))
    assert response.text == "one two"
    assert response.finish_reason == "length"
    assert response.usage.output_tokens == 2


async def test_refuses_what_does_not_fit() -> None:
    tiny = ScriptedModel("yes", info=ModelInfo(name="scripted:model", num_ctx=5))
    fits = ChatRequest(messages=ASK.messages, max_tokens=2)
    assert (await complete(tiny.stream(fits))).text == "yes"
    with pytest.raises(ContextOverflow, match="3 words and 3 for the answer"):
        await complete(tiny.stream(ChatRequest(messages=ASK.messages, max_tokens=3)))


async def test_logprobs_come_only_when_asked_for() -> None:
    unsure = TokenLogprob(text="maybe", logprob=-0.7, top=(("maybe", -0.7), ("yes", -0.9)))
    model = ScriptedModel([Turn(text="maybe", tokens=(unsure,))] * 2)
    assert (await complete(model.stream(ASK))).tokens == ()
    asked = ChatRequest(messages=ASK.messages, top_logprobs=2)
    assert (await complete(model.stream(asked))).tokens == (unsure,)


async def test_an_unscripted_logprob_is_certainty() -> None:
    response = await complete(ScriptedModel("yes").stream(ChatRequest(messages=ASK.messages, top_logprobs=1)))
    assert response.tokens == (TokenLogprob(text="yes", logprob=0.0, top=(("yes", 0.0),)),)
