import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from shoal.core.chat import ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    EngineDown,
    LocalOnlyError,
    ModelError,
    ModelMissing,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)
from shoal.core.usage import Usage
from shoal.models.network import build_client
from shoal.models.openai import OpenAIModel
from shoal.models.openai_error import parse_retry_after
from shoal.testing.fake_openai import FakeOpenAI, break_off, event, refuse
from shoal.testing.http_server import Handler, HttpServer, Reply, Request

ASK = ChatRequest(messages=(Message("user", "hello"),), max_tokens=50)
WORD: dict[str, Any] = {"choices": [{"delta": {"content": "word"}}]}
ABORT: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "abort"}]}
STOP: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


@asynccontextmanager
async def asking(server: FakeOpenAI, **options: Any) -> AsyncGenerator[OpenAIModel]:
    async with server, build_client(server.url, local_only=True) as client:
        yield OpenAIModel("fake", client, **options)


async def answer_to(*events: object, request: ChatRequest = ASK, **options: Any) -> ChatResponse:
    """What the adapter makes of these events."""
    server = FakeOpenAI()
    server.fail(break_off(*(part if isinstance(part, bytes) else event(part) for part in events)))
    async with asking(server, **options) as model:
        return await complete(model.stream(request))


async def error_of(fault: Handler) -> ShoalError:
    server = FakeOpenAI()
    server.fail(fault)
    async with asking(server) as model:
        with pytest.raises(ShoalError) as caught:
            await complete(model.stream(ASK))
    return caught.value


async def test_reads_text_and_usage() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    response = await answer_to(WORD, WORD, STOP, {"choices": [], "usage": usage}, b"data: [DONE]\n\n")
    assert response.text == "wordword"
    assert response.finish_reason == "stop"
    assert response.model == "openai:fake"
    used = response.usage
    assert (used.input_tokens, used.output_tokens, used.cached_tokens) == (9, 2, 4)
    assert used.first_token_s is not None
    assert (used.queue_s, used.load_s, used.prefill_s, used.decode_s) == (None, None, None, None)


async def test_a_server_that_counts_nothing_leaves_the_counts_unknown() -> None:
    response = await answer_to(STOP)
    assert response.text == ""
    assert response.usage == Usage()


async def test_reads_the_times_that_llama_server_adds() -> None:
    response = await answer_to(WORD, {**STOP, "timings": {"prompt_ms": 250.0, "predicted_ms": 1500.0}})
    assert (response.usage.prefill_s, response.usage.decode_s) == (0.25, 1.5)


async def test_a_refusal_is_text_that_ends_as_one() -> None:
    said = {"choices": [{"delta": {"refusal": "I will not"}}]}
    response = await answer_to(said, STOP)
    assert (response.text, response.finish_reason) == ("I will not", "refusal")


@pytest.mark.parametrize(("ending", "meaning"), [("length", "length"), ("content_filter", "refusal")])
async def test_says_why_the_answer_ended(ending: str, meaning: str) -> None:
    response = await answer_to({"choices": [{"delta": {"content": "x"}, "finish_reason": ending}]})
    assert response.finish_reason == meaning


async def test_alternatives_come_most_likely_first() -> None:
    token = {
        "token": "b",
        "logprob": -2.0,
        "top_logprobs": [{"token": "b", "logprob": -2.0}, {"token": "a", "logprob": -0.2}],
    }
    chunk = {"choices": [{"delta": {"content": "b"}, "logprobs": {"content": [token]}}]}
    response = await answer_to(chunk, STOP, request=ChatRequest(messages=ASK.messages, top_logprobs=2))
    assert response.tokens[0].top == (("a", -0.2), ("b", -2.0))


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([WORD], "without a finish_reason"),
        ([], "without a finish_reason"),
        ([WORD, b"data: [DONE]\n\n"], "without a finish_reason"),
        ([b"<html>it works</html>"], "without a finish_reason"),
        ([WORD, b"data: {half"], "half"),
        ([b"data: [1, 2]\n\n"], "1, 2"),
        ([ABORT], 'finish_reason is "abort"'),
        (
            [WORD, {"error": {"message": "engine died", "type": "InternalServerError", "code": 500}}],
            "engine died",
        ),
        ([WORD, {"error": "a sentence"}], "a sentence"),
    ],
)
async def test_an_answer_that_stops_before_its_end_is_broken(events: list[object], why: str) -> None:
    with pytest.raises(StreamBroken) as caught:
        await answer_to(*events)
    assert why in caught.value.why


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_connection_lost_in_the_middle_is_a_broken_answer(ending: Any) -> None:
    error = await error_of(break_off(event(WORD), b"data: {", ending=ending))
    assert isinstance(error, StreamBroken)
    assert "was lost" in error.what


async def test_an_error_in_the_stream_keeps_its_meaning() -> None:
    overflow = {"message": "too long", "type": "BadRequestError", "param": "input_tokens", "code": 400}
    with pytest.raises(ContextOverflow):
        await answer_to({"error": overflow})
    with pytest.raises(ContextOverflow):
        await answer_to({"error": {"message": "too long", "type": "exceed_context_size_error"}})
    with pytest.raises(Overloaded):
        await answer_to({"error": {"message": "slow down", "code": 429}})


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (refuse(401, code="invalid_api_key"), ConfigError),
        (refuse(403), ConfigError),
        (refuse(404, code="model_not_found"), ModelMissing),
        (refuse(400, code="model_not_found"), ModelMissing),
        (refuse(400, code="context_length_exceeded", param="messages"), ContextOverflow),
        (refuse(400, kind="exceed_context_size_error", code=400), ContextOverflow),
        (refuse(400, kind="BadRequestError", code=400, param="max_tokens"), ContextOverflow),
        (refuse(400, code="unsupported_value", param="temperature"), RequestRefused),
        (refuse(400, code="invalid_value", param="max_tokens"), RequestRefused),
        (refuse(413), RequestRefused),
        (refuse(422), RequestRefused),
        (refuse(429, kind="insufficient_quota", code="insufficient_quota"), RequestRefused),
        (refuse(429, kind="insufficient_quota", code="project_spend_limit_exceeded"), RequestRefused),
        (refuse(429, kind="tokens", code="rate_limit_exceeded"), Overloaded),
        (refuse(408), EngineDown),
        (refuse(500), EngineDown),
        (refuse(503, kind="unavailable_error", code=503), EngineDown),
    ],
)
async def test_statuses_and_codes_become_errors_of_shoal(fault: Handler, expected: type[ShoalError]) -> None:
    error = await error_of(fault)
    assert type(error) is expected
    assert error.retryable == (expected in {Overloaded, EngineDown})
    assert "no" in error.why


async def test_a_refused_key_names_where_it_is_set() -> None:
    server = FakeOpenAI("yes", key="right")
    async with asking(server) as model:
        with pytest.raises(ConfigError) as caught:
            await complete(model.stream(ASK))
        with pytest.raises(ConfigError):
            await model.describe()
    assert "OPENAI_API_KEY" in caught.value.mend
    assert "[openai] of shoal.toml" in caught.value.mend
    async with (
        FakeOpenAI("yes", key="right") as server,
        build_client(server.url, local_only=True, headers={"Authorization": "Bearer right"}) as client,
    ):
        assert (await complete(OpenAIModel("fake", client).stream(ASK))).text == "yes"


@pytest.mark.parametrize("plays", ["openai", "reasoning"])
async def test_a_server_of_another_dialect_is_named_with_its_mend(plays: Any) -> None:
    async with asking(FakeOpenAI("yes", plays=plays)) as model:
        with pytest.raises(RequestRefused) as caught:
            await complete(model.stream(ASK))
    assert 'dialect = "openai" (or "reasoning") in [openai] of shoal.toml' in caught.value.mend


async def test_a_rate_limit_says_when_to_come_back() -> None:
    error = await error_of(refuse(429, headers={"retry-after": "2.5"}))
    assert isinstance(error, ModelError)
    assert error.retry_after_s == 2.5


def test_retry_after_is_a_number_or_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert parse_retry_after({"retry-after": format_datetime(soon)}) == pytest.approx(90, abs=5)
    assert parse_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert parse_retry_after({"retry-after": "-3"}) == 0.0
    assert parse_retry_after({"retry-after": "soon"}) is None
    assert parse_retry_after({}) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad Gateway</html>",
        b"[]",
        b'{"error": {"message": 3}}',
        b"\xff\xfe",
        b'{"detail": "Not Found"}',
    ],
)
async def test_any_body_of_a_failure_can_be_read(body: bytes) -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(status=502, headers={"content-length": str(len(body))})
        await reply.send(body)

    assert isinstance(await error_of(answer), EngineDown)


async def test_an_address_that_redirects_is_named() -> None:
    async def redirect(_: Request, reply: Reply) -> None:
        headers = {"location": "https://host/v1/chat/completions", "content-length": "0"}
        await reply.start(status=308, headers=headers)

    error = await error_of(redirect)
    assert isinstance(error, ConfigError)
    assert error.mend == 'in shoal.toml: [openai] url = "https://host/v1"'


async def test_nobody_listening_is_an_engine_that_is_down() -> None:
    async with FakeOpenAI() as server:
        url = server.url
    async with build_client(url, local_only=True) as client:
        model = OpenAIModel("fake", client)
        for call in (complete(model.stream(ASK)), model.describe()):
            with pytest.raises(EngineDown, match="nobody answers at"):
                await call


async def test_local_only_reaches_through() -> None:
    async with build_client("https://192.0.2.1/v1", local_only=True) as client:
        with pytest.raises(LocalOnlyError):
            await complete(OpenAIModel("fake", client).stream(ASK))


async def test_a_prompt_that_a_server_cut_or_swallowed_is_found_out() -> None:
    usage = {"prompt_tokens": 36_000, "completion_tokens": 0}
    with pytest.raises(ContextOverflow, match="does not fit"):
        await answer_to({**STOP, "usage": usage}, num_ctx=32_768)
    assert await answer_to({**STOP, "usage": usage}, num_ctx=65_536)


async def test_a_server_that_read_less_than_there_was_is_found_out() -> None:
    async with FakeOpenAI() as server, build_client(server.url, local_only=True) as client:
        model = OpenAIModel("fake", client)
        long = ChatRequest(messages=(Message("user", "word " * 3_000),))
        usage = {"prompt_tokens": 1_024, "completion_tokens": 1}
        server.fail(break_off(event(WORD), event({**STOP, "usage": usage}), b"data: [DONE]\n\n"))
        with pytest.raises(ContextOverflow, match="did not read the whole prompt") as caught:
            await complete(model.stream(long))
    assert "it read 1,024 tokens of at least 3,000" in caught.value.why


async def test_closing_early_ends_the_work_at_the_server() -> None:
    ended = asyncio.Event()

    async def hang(_: Request, reply: Reply) -> None:
        await reply.start()
        await reply.send(event(WORD))
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server = FakeOpenAI()
    server.fail(hang)
    async with asking(server) as model:
        async with aclosing(model.stream(ASK)) as events:
            await anext(events)
        async with asyncio.timeout(5):
            await ended.wait()
        assert server.abandoned == 1


async def test_describes_what_the_server_says() -> None:
    async with asking(FakeOpenAI(num_ctx=2048)) as model:
        info = await model.describe()
    assert (info.num_ctx, info.remote) == (2048, False)
    assert info.capabilities == {"schema", "logprobs"}
    async with asking(FakeOpenAI(), num_ctx=1024, dialect="reasoning") as model:
        info = await model.describe()
    assert info.num_ctx == 1024
    assert info.capabilities == {"schema"}


async def test_describes_a_missing_model_by_those_there_are() -> None:
    async with FakeOpenAI() as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(ModelMissing) as caught:
            await OpenAIModel("fakee", client).describe()
    assert caught.value.why == "it has: fake"


async def test_llama_server_answers_to_any_name() -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.send_json({"data": [{"id": "/models/q.gguf", "owned_by": "llamacpp"}]})

    async with HttpServer(answer) as server, build_client(f"{server.url}/v1", local_only=True) as client:
        assert (await OpenAIModel("any", client).describe()).name == "openai:any"


async def test_something_else_at_the_address_is_named() -> None:
    async def answer(_: Request, reply: Reply) -> None:
        await reply.send_json("hello")

    async with HttpServer(answer) as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(EngineDown, match="does not speak OpenAI's API"):
            await OpenAIModel("any", client).describe()
