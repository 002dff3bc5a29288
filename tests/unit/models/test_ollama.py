import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, Message, TokenLogprob, complete
from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    LoadFailed,
    LocalOnlyError,
    ModelMissing,
    OutputInvalid,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)
from shoal.models.network import build_client
from shoal.models.ollama import OllamaModel
from shoal.testing.fake_ollama import (
    CRASHED,
    NO_MEMORY,
    QUEUE_FULL,
    FakeAnswer,
    FakeModel,
    FakeOllama,
    Fault,
    Seen,
    ServerSettings,
)

HELLO = ChatRequest(messages=(Message("user", "Say hello."),), max_tokens=32)
MODELS = [
    FakeModel(name="hello:1b", reply="Hello, you there!"),
    FakeModel(name="silent:1b", reply=""),
    FakeModel(name="stuck:1b", reply="round and " + "round " * 200),
    FakeModel(name="thinker:1b", reply="Four.", capabilities=("completion", "thinking")),
    FakeModel(name="muser:1b", reply=lambda _: FakeAnswer(thinking="Hm. Let me see.")),
    FakeModel(name="caller:1b", reply=lambda _: FakeAnswer(tool_calls=({"function": {"name": "f"}},))),
    FakeModel(name="passed-on:1b", remote_host="https://ollama.com:443"),
]


@pytest.fixture
async def server() -> AsyncIterator[FakeOllama]:
    async with FakeOllama(MODELS) as server:
        yield server


@pytest.fixture
async def client(server: FakeOllama) -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(server.url, local_only=True) as client:
        yield client


@pytest.fixture
def hello(client: httpx.AsyncClient) -> OllamaModel:
    return OllamaModel("hello:1b", client, num_ctx=512)


async def test_an_answer_carries_tokens_times_and_the_digest(hello: OllamaModel) -> None:
    response = await complete(hello.stream(HELLO))
    model = MODELS[0]
    assert response.text == "Hello, you there!"
    assert response.finish_reason == "stop"
    assert response.digest == model.digest
    assert response.usage.load_s == pytest.approx(model.load_s + model.prepare_s)
    assert response.usage.queue_s == pytest.approx(0)
    assert response.usage.output_tokens == 6, "five tokens and the one that ends the answer"
    assert response.usage.first_token_s is not None


async def test_the_length_of_an_answer_is_bounded(hello: OllamaModel) -> None:
    response = await complete(hello.stream(ChatRequest(messages=HELLO.messages, max_tokens=2)))
    assert (response.text, response.finish_reason) == ("Hello,", "length")


async def test_an_answer_ends_where_the_window_does(server: FakeOllama, client: httpx.AsyncClient) -> None:
    model = OllamaModel("hello:1b", client, num_ctx=8)
    response = await complete(model.stream(HELLO))
    assert response.finish_reason == "length"
    assert server.chats[-1]["options"]["num_ctx"] == 8


async def test_logprobs_come_with_their_alternatives(hello: OllamaModel) -> None:
    request = ChatRequest(messages=HELLO.messages, top_logprobs=2)
    response = await complete(hello.stream(request))
    first = response.tokens[0]
    assert first == TokenLogprob(text="Hello", logprob=-0.25, top=(("Hello", -0.25), ("other0", -2.0)))
    assert "".join(token.text for token in response.tokens) == response.text


async def test_the_server_is_asked_about_the_model_once(server: FakeOllama, hello: OllamaModel) -> None:
    _ = await asyncio.gather(*(complete(hello.stream(HELLO)) for _ in range(5)))
    paths = [request.path for request in server.requests]
    assert sorted(paths) == sorted(["/api/version", "/api/show", "/api/tags", *["/api/chat"] * 5])


async def test_a_model_replaced_under_its_name_is_seen_by_describe(
    server: FakeOllama, hello: OllamaModel
) -> None:
    _ = await complete(hello.stream(HELLO))
    newer = FakeModel(name="hello:1b", weights="newer")
    server.library.models[newer.key] = newer
    assert (await hello.describe()).digest == newer.digest
    assert (await complete(hello.stream(HELLO))).digest == newer.digest


async def test_a_model_that_was_removed_is_missed_and_found_again(
    server: FakeOllama, hello: OllamaModel
) -> None:
    _ = await complete(hello.stream(HELLO))
    removed = server.library.models.pop("hello:1b")
    with pytest.raises(ModelMissing) as caught:
        _ = await complete(hello.stream(HELLO))
    assert caught.value.mend == "ollama pull hello:1b"
    server.library.models["hello:1b"] = removed
    assert (await complete(hello.stream(HELLO))).text


async def test_an_empty_answer_is_an_answer(client: httpx.AsyncClient) -> None:
    response = await complete(OllamaModel("silent:1b", client, num_ctx=512).stream(HELLO))
    assert (response.text, response.finish_reason, response.usage.output_tokens) == ("", "stop", 1)


async def test_a_model_that_can_think_answers_without(client: httpx.AsyncClient) -> None:
    response = await complete(OllamaModel("thinker:1b", client, num_ctx=512).stream(HELLO))
    assert response.text == "Four."
    assert response.usage.output_tokens == 3


@pytest.mark.parametrize("name", ["muser:1b", "caller:1b"])
async def test_an_answer_that_went_elsewhere_is_not_taken_for_an_empty_one(
    client: httpx.AsyncClient, name: str
) -> None:
    with pytest.raises(OutputInvalid, match="wrote no answer"):
        _ = await complete(OllamaModel(name, client, num_ctx=512).stream(HELLO))


async def test_a_repetition_that_the_server_gives_up_on_is_broken(client: httpx.AsyncClient) -> None:
    model = OllamaModel("stuck:1b", client, num_ctx=512)
    with pytest.raises(StreamBroken, match="stopped before its end"):
        _ = await complete(model.stream(ChatRequest(messages=HELLO.messages, max_tokens=400)))


async def test_a_prompt_that_fills_the_window_may_have_been_cut(client: httpx.AsyncClient) -> None:
    """A server that does not know `truncate` cuts a prompt to exactly the window and says nothing."""
    fills_60 = ChatRequest(messages=(Message("user", " ".join(["word"] * 57)),))
    response = await complete(OllamaModel("hello:1b", client, num_ctx=61).stream(fills_60))
    assert response.usage.input_tokens == 60
    with pytest.raises(ContextOverflow) as caught:
        _ = await complete(OllamaModel("hello:1b", client, num_ctx=60).stream(fills_60))
    assert caught.value.mend


async def test_a_prompt_that_cannot_fit_is_not_sent(server: FakeOllama, client: httpx.AsyncClient) -> None:
    too_long = ChatRequest(messages=(Message("user", "word " * 600),))
    with pytest.raises(ContextOverflow, match="does not fit") as caught:
        _ = await complete(OllamaModel("hello:1b", client, num_ctx=512).stream(too_long))
    assert "600 words are at least 600 tokens, and the window has 512" in caught.value.why
    assert "num_ctx in [ollama]" in caught.value.mend
    assert server.chats == []


async def test_where_the_bound_says_nothing_the_server_has_the_last_word(
    server: FakeOllama, client: httpx.AsyncClient
) -> None:
    one_word = ChatRequest(messages=(Message("user", "a-b-" * 200),))
    with pytest.raises(ContextOverflow) as caught:
        _ = await complete(OllamaModel("hello:1b", client, num_ctx=512).stream(one_word))
    assert "1 words, at least 50 tokens, in a window of 512; Ollama answered 400" in caught.value.why
    assert len(server.chats) == 1


@pytest.mark.parametrize("name", ["passed-on:1b", "gpt-oss:120b-cloud"])
async def test_local_only_keeps_requests_from_models_elsewhere(
    server: FakeOllama, client: httpx.AsyncClient, name: str
) -> None:
    model = OllamaModel(name, client, num_ctx=512)
    with pytest.raises(LocalOnlyError):
        _ = await complete(model.stream(HELLO))
    assert server.chats == [], "not even one request"
    assert (await model.describe()).remote


async def test_a_model_elsewhere_answers_when_that_is_allowed(client: httpx.AsyncClient) -> None:
    model = OllamaModel("passed-on:1b", client, num_ctx=512, local_only=False)
    assert (await complete(model.stream(HELLO))).text == "You said: Say hello."


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.status(503, QUEUE_FULL), Overloaded),
        (Fault.status(500, NO_MEMORY), LoadFailed),
        (Fault.status(500, "invalid JSON schema in format"), RequestRefused),
        (Fault.error_line(after=0), LoadFailed),
        (Fault.error_line(CRASHED, after=2), StreamBroken),
        (Fault.no_done(after=0), StreamBroken),
        (Fault.no_done(after=3), StreamBroken),
        (Fault.no_done(after=99), StreamBroken),
        (Fault.eof(after=2), StreamBroken),
        (Fault.reset(after=0), StreamBroken),
        (Fault.reset(after=2), StreamBroken),
        (Fault.garbage(after=0), StreamBroken),
        (Fault.garbage(after=2), StreamBroken),
    ],
)
async def test_whatever_goes_wrong_once_is_one_error_and_the_next_call_is_well(
    server: FakeOllama, hello: OllamaModel, fault: Fault, expected: type[ShoalError]
) -> None:
    server.fail(fault)
    with pytest.raises(expected) as caught:
        _ = await complete(hello.stream(HELLO))
    assert type(caught.value) is expected
    assert (await complete(hello.stream(HELLO))).text == "Hello, you there!"


async def test_text_that_came_before_the_trouble_is_given_out(server: FakeOllama, hello: OllamaModel) -> None:
    server.fail(Fault.reset(after=2))
    said: list[str] = []

    async def listen() -> None:
        async with aclosing(hello.stream(HELLO)) as events:
            async for event in events:
                assert isinstance(event, ChatDelta)
                said.append(event.text)

    with pytest.raises(StreamBroken):
        await listen()
    assert said == ["Hello", ","]


async def test_nobody_at_the_address_is_told_with_the_command_that_starts_ollama(
    unused_tcp_port: int,
) -> None:
    async with build_client(f"http://127.0.0.1:{unused_tcp_port}", local_only=True) as client:
        model = OllamaModel("hello:1b", client, num_ctx=512)
        for ask in (complete(model.stream(HELLO)), model.describe()):
            with pytest.raises(EngineDown) as caught:
                _ = await ask
            assert caught.value.mend == "ollama serve"


async def test_closing_the_stream_frees_the_slot(server: FakeOllama, hello: OllamaModel) -> None:
    server.fail(Fault.hang(after=1))
    async with aclosing(hello.stream(HELLO)) as events:
        first = await anext(events)
        assert isinstance(first, ChatDelta)
    assert (await complete(hello.stream(HELLO))).text, "the only slot is free again"
    assert server.abandoned == 1


async def test_a_hanging_engine_can_be_cancelled(server: FakeOllama, hello: OllamaModel) -> None:
    asked = asyncio.Event()

    def reply(_: Seen) -> str:
        asked.set()
        return "never said"

    server.library.models["hello:1b"] = FakeModel(name="hello:1b", reply=reply)
    server.fail(Fault.hang())
    asking = asyncio.create_task(complete(hello.stream(HELLO)))
    _ = await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        _ = await asking
    assert (await complete(hello.stream(HELLO))).text


async def test_one_base_with_one_window_is_loaded_once(server: FakeOllama, client: httpx.AsyncClient) -> None:
    models = [OllamaModel("hello:1b", client, num_ctx=4096) for _ in range(3)]
    answers = await asyncio.gather(*(complete(model.stream(HELLO)) for model in models * 3))
    assert all(isinstance(answer, ChatResponse) for answer in answers)
    assert server.scheduler.loads == ["hello:1b"]


async def test_a_swap_shows_in_the_time_of_the_load(client: httpx.AsyncClient) -> None:
    async with (
        FakeOllama(MODELS, settings=ServerSettings(max_loaded_models=1)) as server,
        build_client(server.url, local_only=True) as alone,
    ):
        hello = OllamaModel("hello:1b", alone, num_ctx=512)
        silent = OllamaModel("silent:1b", alone, num_ctx=512)
        loads = [
            (await complete(model.stream(HELLO))).usage.load_s for model in (hello, hello, silent, hello)
        ]
        assert server.scheduler.loads == ["hello:1b", "silent:1b", "hello:1b"]
    assert loads == pytest.approx([0.451, 0.031, 0.451, 0.451])


async def test_it_does_not_count_tokens_that_it_cannot_count(hello: OllamaModel) -> None:
    assert await hello.count_tokens(HELLO) is None
