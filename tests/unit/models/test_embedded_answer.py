import json
import time
from typing import Any

import pytest

from shoal.core.chat import ChatDelta, ChatRequest, Message
from shoal.core.errors import RequestRefused, StreamBroken
from shoal.models.embedded_answer import Answer
from shoal.models.embedded_wire import Chunk, parse_chunk


def chunk(**fields: Any) -> Chunk:
    parsed = parse_chunk("m", "data: " + json.dumps(fields))
    assert parsed is not None
    return parsed


def word(text: str | None, *, finish: str | None = None) -> Chunk:
    choice: dict[str, Any] = {"delta": {"content": text}, "finish_reason": finish}
    if text:
        choice["logprobs"] = {"content": [{"token": text, "logprob": -1.0}]}
    return chunk(choices=[choice])


def end() -> Chunk:
    return chunk(
        choices=[],
        usage={"prompt_tokens": 10, "completion_tokens": 2},
        timings={"cache_n": 6, "prompt_ms": 20.0, "predicted_ms": 30.0},
    )


def answer(**request: Any) -> Answer:
    now = time.perf_counter()
    asked = ChatRequest(messages=(Message("user", "Hi"),), **request)
    return Answer("embedded:m", asked, began=now - 3.0, loaded=now - 2.0)


def test_folds_deltas_into_the_response() -> None:
    folding = answer(top_logprobs=0)
    deltas = [
        folding.add(each) for each in (word(None), word("Hel"), word("lo"), word(None, finish="stop"), end())
    ]
    response = folding.response("sha256:1")
    assert [delta for delta in deltas if delta is not None] == [
        ChatDelta(text="Hel", tokens=response.tokens[:1]),
        ChatDelta(text="lo", tokens=response.tokens[1:]),
    ]
    assert (response.text, response.finish_reason, response.digest) == ("Hello", "stop", "sha256:1")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (10, 2, 6)
    assert (usage.prefill_s, usage.decode_s) == (0.02, 0.03)


def test_waiting_is_what_neither_load_nor_prefill_explains() -> None:
    folding = answer()
    for each in (word("Hello"), word(None, finish="length"), end()):
        folding.add(each)
    usage = folding.response("sha256:1").usage
    assert usage.load_s == pytest.approx(1.0)
    assert usage.first_token_s is not None
    assert usage.first_token_s >= 3.0
    assert usage.queue_s == pytest.approx(usage.first_token_s - 1.0 - 0.02)


def test_no_logprobs_unasked() -> None:
    folding = answer()
    for each in (word("Hello"), word(None, finish="stop"), end()):
        folding.add(each)
    assert folding.response("sha256:1").tokens == ()


def test_an_answer_of_no_words_took_no_time_to_its_first() -> None:
    folding = answer()
    for each in (word(None, finish="stop"), end()):
        folding.add(each)
    response = folding.response("sha256:1")
    assert response.text == ""
    assert response.usage.first_token_s is None
    assert response.usage.queue_s is None


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [word("Hel")],
        [word("Hel"), word(None, finish="stop")],
        [word("Hel"), end()],
        [word("x", finish="tool"), end()],
    ],
)
def test_a_stream_without_its_end_is_broken(chunks: list[Chunk]) -> None:
    folding = answer()
    for each in chunks:
        folding.add(each)
    with pytest.raises(StreamBroken):
        folding.response("sha256:1")


def test_an_answer_that_cannot_be_json_shows_that_the_schema_was_left_out() -> None:
    with pytest.raises(RequestRefused, match="schema"):
        answer(schema={"type": "nonsense"}).add(word("I'm"))
    assert answer(schema={"type": "object"}).add(word('{"')) is not None
    assert answer().add(word("I'm")) is not None
