from typing import Any

import pytest

from shoal.core.chat import ChatRequest, Message, Sampling
from shoal.core.errors import RequestRefused
from shoal.models.openai_request import Dialect, encode_request

ASK = ChatRequest(messages=(Message("system", "be brief"), Message("user", "hello")), max_tokens=7)
SAMPLED = {"temperature": 0.0, "top_p": 1.0, "seed": 0}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


def encode(dialect: Dialect, **changes: Any) -> dict[str, Any]:
    request = ChatRequest(messages=ASK.messages, max_tokens=7, **changes)
    return encode_request("m", request, dialect)


@pytest.mark.parametrize(
    ("dialect", "own"),
    [
        (
            "local",
            SAMPLED
            | {"max_tokens": 7, "top_k": 40, "min_p": 0.0, "repeat_penalty": 1.0, "repetition_penalty": 1.0},
        ),
        ("openai", SAMPLED | {"max_completion_tokens": 7}),
        ("reasoning", {"max_completion_tokens": 7}),
    ],
)
def test_each_dialect_sends_what_its_servers_take(dialect: Dialect, own: dict[str, Any]) -> None:
    assert encode(dialect) == own | {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("dialect", "sampling", "option"),
    [
        ("openai", Sampling(min_p=0.1), "min_p = 0.1"),
        ("openai", Sampling(repeat_penalty=1.1), "repeat_penalty = 1.1"),
        ("openai", Sampling(top_k=5), "top_k = 5"),
        ("reasoning", Sampling(temperature=0.7), "temperature = 0.7"),
        ("reasoning", Sampling(seed=3), "seed = 3"),
    ],
)
def test_nothing_that_was_asked_for_is_dropped(dialect: Dialect, sampling: Sampling, option: str) -> None:
    with pytest.raises(RequestRefused, match=option):
        encode(dialect, sampling=sampling)
    assert encode("local", sampling=sampling)


def test_an_adapter_is_refused() -> None:
    with pytest.raises(RequestRefused, match=r"lora\.gguf"):
        encode("local", adapter="lora.gguf")


def test_stop_and_logprobs_are_sent_when_asked_for() -> None:
    assert not {"stop", "logprobs", "top_logprobs"} & set(encode("local"))
    body = encode("openai", stop=("END",), top_logprobs=0)
    assert (body["stop"], body["logprobs"], body["top_logprobs"]) == (["END"], True, 0)
    assert "logprobs" not in encode("reasoning", top_logprobs=3)


def test_a_schema_is_sent_in_standard_words() -> None:
    schema = {"type": "string", "x-verbatim": True}
    assert encode("openai", schema=schema)["response_format"]["json_schema"]["schema"] == {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({"type": "string", "enum": ["a", "b"]}, True),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({**SCHEMA, "required": []}, False),
        ({"type": "object"}, False),
        ({**SCHEMA, "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "object"}]}}}, False),
    ],
)
def test_strict_mode_is_asked_for_where_it_can_be_had(schema: dict[str, Any], strict: bool) -> None:
    sent = encode("openai", schema=schema)["response_format"]
    assert sent == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }
