import json

import pytest

from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    ModelError,
    Overloaded,
    RequestRefused,
    StreamBroken,
)
from shoal.models.embedded_wire import (
    parse_chunk,
    parse_prompt,
    parse_refusal,
    parse_slot_size,
    parse_tokens,
)


def test_parses_a_chunk_with_logprobs() -> None:
    token = {"id": 5, "token": "Hi", "bytes": [72, 105], "logprob": -0.5}
    others = [{**token, "top_logprobs": []}, {"id": 6, "token": "Yo", "logprob": -1.5}]
    choice = {
        "index": 0,
        "finish_reason": None,
        "delta": {"content": "Hi"},
        "logprobs": {"content": [{**token, "top_logprobs": others}]},
    }
    chunk = parse_chunk("m", "data: " + json.dumps({"choices": [choice], "object": "chat.completion.chunk"}))
    assert chunk is not None
    assert chunk.text == "Hi"
    assert chunk.finish_reason is None
    assert chunk.tokens(1)[0].top == (("Hi", -0.5),)
    assert chunk.tokens(0)[0].top == ()


def test_reads_probabilities_before_and_after_sampling() -> None:
    before = {"completion_probabilities": [{"id": 5, "top_logprobs": [{"id": 5, "logprob": 0.0}]}]}
    after = {"completion_probabilities": [{"id": 5, "top_probs": [{"id": 5, "prob": 0.25}]}]}
    for sent, expected in ((before, 1.0), (after, 0.25)):
        chunk = parse_chunk("m", "data: " + json.dumps(sent))
        assert chunk is not None
        assert chunk.chances == {5: expected}


@pytest.mark.parametrize("line", ["", ": ping", "data: [DONE]", "event: message"])
def test_lines_without_data_say_nothing(line: str) -> None:
    assert parse_chunk("m", line) is None


@pytest.mark.parametrize("line", ["data: {", 'data: {"choices": 3}', "data: null"])
def test_unreadable_lines_break_the_stream(line: str) -> None:
    with pytest.raises(StreamBroken):
        parse_chunk("m", line)


@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        (400, "exceed_context_size_error", ContextOverflow),
        (400, "invalid_request_error", RequestRefused),
        (429, "rate_limit_error", Overloaded),
        (503, "unavailable_error", EngineDown),
        (500, "server_error", StreamBroken),
    ],
)
def test_errors_are_told_apart_by_status_and_type(code: int, kind: str, error: type[ModelError]) -> None:
    sent = {"error": {"code": code, "type": kind, "message": "because"}}
    refusal = parse_refusal("m", json.dumps(sent).encode())
    assert type(refusal) is error
    assert refusal.why == "because"
    with pytest.raises(error):
        parse_chunk("m", "data: " + json.dumps(sent))


def test_an_unreadable_error_is_still_an_error() -> None:
    assert isinstance(parse_refusal("m", b"<html>"), StreamBroken)
    assert isinstance(parse_refusal("m", b"{}"), StreamBroken)


def test_parses_the_small_answers() -> None:
    assert parse_prompt(b'{"prompt": "<s>Hi"}') == "<s>Hi"
    assert parse_tokens(b'{"tokens": [1, 2]}') == (1, 2)
    assert (
        parse_slot_size(b'[{"id": 0, "n_ctx": 512, "is_processing": false}, {"id": 1, "n_ctx": 512}]') == 512
    )
