import json
from types import MappingProxyType
from typing import Any

import pytest

from shoal.core.chat import ChatRequest, Message, Sampling
from shoal.core.errors import RequestRefused
from shoal.core.port import ModelInfo
from shoal.models.ollama_info import OllamaInfo
from shoal.models.ollama_request import encode_request

INFO = OllamaInfo(model=ModelInfo(name="ollama:m"), num_ctx=2048, stops=("<|im_end|>",))
HELLO = (Message("system", "Be brief."), Message("user", "hello"))


def encoded(request: ChatRequest) -> dict[str, Any]:
    return json.loads(encode_request("m", request, INFO))


def test_nothing_is_left_to_the_servers_defaults() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, repeat_penalty=1.2, seed=3)
    body = encoded(ChatRequest(messages=HELLO, max_tokens=9, sampling=sampling))
    assert body["options"] == {
        "num_ctx": 2048,
        "num_predict": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "repeat_penalty": 1.2,
        "seed": 3,
        "typical_p": 1.0,
        "repeat_last_n": 64,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]


def test_it_streams_cuts_nothing_and_does_not_think() -> None:
    body = encoded(ChatRequest(messages=HELLO))
    assert (body["stream"], body["truncate"], body["shift"], body["think"]) == (True, False, False, False)


def test_what_is_not_asked_for_is_not_sent() -> None:
    body = encoded(ChatRequest(messages=HELLO))
    assert not {"format", "logprobs", "top_logprobs", "keep_alive", "tools"} & set(body)


def test_verbatim_strings_become_the_words_of_the_text() -> None:
    schema = {"type": "string", "x-verbatim": True}
    body = encoded(ChatRequest(messages=HELLO, schema=schema, input="to Rome"))
    assert body["format"] == {"enum": ["to", "to Rome", "Rome"]}


def test_logprobs_and_schema_are_sent_when_asked_for() -> None:
    schema = MappingProxyType({"type": "object"})
    body = encoded(ChatRequest(messages=HELLO, top_logprobs=0, schema=schema))
    assert (body["logprobs"], body["top_logprobs"], body["format"]) == (True, 0, {"type": "object"})


def test_stop_sequences_join_those_of_the_model() -> None:
    assert encoded(ChatRequest(messages=HELLO, stop=("\n",)))["options"]["stop"] == ["<|im_end|>", "\n"]


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(messages=()),
        ChatRequest(messages=HELLO, max_tokens=0),
        ChatRequest(messages=HELLO, adapter="specialist.gguf"),
        ChatRequest(messages=(Message("user", "half a character: \ud83d"),)),
    ],
)
def test_what_ollama_would_misunderstand_is_refused(request_: ChatRequest) -> None:
    with pytest.raises(RequestRefused) as caught:
        _ = encode_request("m", request_, INFO)
    assert caught.value.why
