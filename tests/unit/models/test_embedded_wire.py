import json

import pytest

from shoal.core.chat import ChatRequest, Message, Sampling
from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    ModelError,
    Overloaded,
    RequestRefused,
    StreamBroken,
)
from shoal.models.embedded_wire import (
    build_body,
    build_next_token,
    build_place,
    parse_chunk,
    parse_prompt,
    parse_refusal,
    parse_slot_size,
    parse_tokens,
)

MESSAGES = (Message("system", "Be kind."), Message("user", "Hello"))


def test_everything_in_a_request_is_sent() -> None:
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, repeat_penalty=1.1, seed=3)
    body = build_body(
        ChatRequest(messages=MESSAGES, max_tokens=9, sampling=sampling, top_logprobs=4, stop=("END",))
    )
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
    ]
    sent = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "repeat_penalty": 1.1, "seed": 3}
    assert body.items() >= sent.items()
    assert body["max_tokens"] == 9
    assert body["stop"] == ["END"]
    assert (body["logprobs"], body["top_logprobs"]) == (True, 4)


def test_no_alternatives_still_means_logprobs() -> None:
    assert build_body(ChatRequest(messages=MESSAGES, top_logprobs=0))["top_logprobs"] == 1
    assert "logprobs" not in build_body(ChatRequest(messages=MESSAGES))


def test_a_schema_becomes_a_grammar_with_one_layout() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    first, second = build_body(ChatRequest(messages=MESSAGES, schema=schema))["grammar"].split("\n")
    assert first == "%llguidance {}"
    sent = json.loads(second.removeprefix("start: %json "))
    layout = sent.pop("x-guidance")
    assert sent == schema
    assert layout["whitespace_flexible"] is False
    assert "grammar" not in build_body(ChatRequest(messages=MESSAGES))


def test_every_adapter_is_named_in_every_call() -> None:
    place = build_place(2, [0.0, 1.0])
    assert place["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]
    assert place["id_slot"] == 2
    assert place["stream"] is True


def test_next_token_reads_the_candidates_or_the_whole_vocabulary() -> None:
    among_them = build_next_token((1, 2), [7, 8], among_all=False)
    assert among_them["n_probs"] == 2
    assert among_them["post_sampling_probs"] is True
    assert {token for token, _ in among_them["logit_bias"]} == {7, 8}
    among_all = build_next_token((1, 2), [7, 8], among_all=True)
    assert among_all["n_probs"] > 20
    assert among_all["post_sampling_probs"] is False


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
