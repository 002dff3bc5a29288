import json

import httpx
import pytest

from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    LoadFailed,
    ModelMissing,
    OutputInvalid,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)
from shoal.models.ollama_error import from_line, from_status, from_transport
from shoal.testing.fake_ollama import CRASHED, LOADING, NO_MEMORY, QUEUE_FULL

LLAMA_SERVER_OVERFLOW = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
        }
    }
)
LLAMA_SERVER_GRAMMAR = json.dumps(
    {"error": {"code": 400, "message": "failed to parse grammar", "type": "invalid_request_error"}}
)

CASES = [
    (404, "model 'gemma3:1b' not found", ModelMissing),
    (400, "the input length exceeds the context length", ContextOverflow),
    (
        400,
        "the prompt is longer than the context length currently available to the model; x",
        ContextOverflow,
    ),
    (400, LLAMA_SERVER_OVERFLOW, ContextOverflow),
    (500, LLAMA_SERVER_OVERFLOW, ContextOverflow),
    (400, LLAMA_SERVER_GRAMMAR, RequestRefused),
    (400, '"gemma3:1b" does not support thinking', RequestRefused),
    (401, "unauthorized", RequestRefused),
    (403, "ollama cloud is disabled: remote model is unavailable", RequestRefused),
    (500, 'option "num_ctx" must be of type integer', RequestRefused),
    (500, "invalid JSON schema in format", RequestRefused),
    (500, 'invalid format: "yaml"; expected "json" or a valid JSON Schema object', RequestRefused),
    (500, "error parsing tool call: raw='{', err=unexpected end of JSON input", OutputInvalid),
    (429, "too many requests", Overloaded),
    (503, QUEUE_FULL, Overloaded),
    (500, NO_MEMORY, LoadFailed),
    (500, CRASHED, LoadFailed),
    (500, LOADING, LoadFailed),
    (500, "a sentence of next year's release", LoadFailed),
]


@pytest.mark.parametrize(("status", "message", "expected"), CASES)
def test_a_refusal_becomes_one_error(status: int, message: str, expected: type[ShoalError]) -> None:
    body = json.dumps({"error": message}).encode()
    error = from_status(status, body, model="gemma3:1b", url="http://127.0.0.1:11434")
    assert type(error) is expected
    assert str(status) in error.why or expected is OutputInvalid


def test_a_mend_is_a_command() -> None:
    missing = from_status(404, b'{"error": "no"}', model="gemma3:1b", url="http://127.0.0.1:11434")
    signed_out = from_status(401, b'{"error": "no"}', model="gemma3:1b", url="http://127.0.0.1:11434")
    assert missing.mend == "ollama pull gemma3:1b"
    assert signed_out.mend == "ollama signin"


@pytest.mark.parametrize("body", [b"404 page not found", b"<html></html>", b'{"error": {"code": 404}}', b""])
def test_somebody_else_at_the_address_is_not_a_missing_model(body: bytes) -> None:
    error = from_status(404, body, model="gemma3:1b", url="http://127.0.0.1:11434")
    assert type(error) is EngineDown
    assert "not Ollama" in error.what


def test_a_proxy_in_front_says_overload_in_its_own_words() -> None:
    busy = from_status(503, b"<html>try later</html>", model="m", url="http://127.0.0.1:11434")
    down = from_status(502, b"<html>bad gateway</html>", model="m", url="http://127.0.0.1:11434")
    assert (type(busy), type(down)) == (Overloaded, EngineDown)


def test_an_error_line_breaks_the_stream_unless_the_answer_is_to_blame() -> None:
    assert type(from_line(CRASHED, model="m")) is StreamBroken
    assert type(from_line("error parsing tool call: raw='{'", model="m")) is OutputInvalid


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx.ConnectError("refused"), EngineDown),
        (httpx.ConnectTimeout("no answer"), EngineDown),
        (httpx.PoolTimeout("full"), Overloaded),
        (httpx.ReadError("reset"), StreamBroken),
        (httpx.RemoteProtocolError("early end"), StreamBroken),
    ],
)
def test_a_lost_connection_becomes_one_error(cause: httpx.HTTPError, expected: type[ShoalError]) -> None:
    error = from_transport(cause, url="http://127.0.0.1:11434")
    assert type(error) is expected
    assert error.retryable
