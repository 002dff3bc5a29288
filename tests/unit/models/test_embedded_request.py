import json
from typing import Any

from shoal.core.chat import ChatRequest, Message, Sampling
from shoal.models.embedded_request import build_body, build_next_token, build_place, close_objects

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
    assert sent == {**schema, "additionalProperties": False}
    assert layout["whitespace_flexible"] is False
    assert "grammar" not in build_body(ChatRequest(messages=MESSAGES))


def test_verbatim_strings_become_the_words_of_the_text() -> None:
    schema = {"type": "array", "items": {"type": "string", "x-verbatim": True}}
    request = ChatRequest(messages=MESSAGES, schema=schema, input="to Rome")
    items = {"type": "string", "pattern": "^(?:to(?: Rome)?|Rome)$"}
    assert f'"items": {json.dumps(items)}' in build_body(request)["grammar"]


def test_objects_have_the_named_properties_only_unless_they_say_otherwise() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "integer"}}}
    closed = {"additionalProperties": False, **inner}
    assert close_objects(inner) == closed
    assert close_objects({"type": "array", "items": inner})["items"] == closed
    assert close_objects({"anyOf": [inner, {"type": "null"}]})["anyOf"] == [closed, {"type": "null"}]
    assert close_objects({"$defs": {"Inner": inner}})["$defs"] == {"Inner": closed}
    unchanged: list[dict[str, Any]] = [
        {"type": "object"},
        {**inner, "additionalProperties": {"type": "string"}},
        {"allOf": [inner, {"properties": {"b": {}}}]},
        {"const": {"properties": {}}},
    ]
    for schema in unchanged:
        assert close_objects(schema) == schema


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
