"""What the embedded engine is asked, as llama-server reads it. Pure; the answers are `embedded_wire`'s."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from shoal.core.chat import ChatRequest
from shoal.core.verbatim import match_verbatim

__all__ = ["build_body", "build_messages", "build_next_token", "build_place", "close_objects"]

JsonObject = dict[str, Any]

JSON_LAYOUT: JsonObject = {
    # The layout of `json.dumps`, and no other: small models can fill an answer with white space.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # An unknown keyword loosens the grammar; otherwise it would switch the whole grammar off.
    "lenient": True,
}
LABEL_BIAS = 100.0
"""Logits differ by some tens: e to this power drowns every token without the bias, and a float32 still
tells logits 0.00001 apart."""
MOST_LIKELY = 100
"""Tokens read where a label may end; what is beyond them counts as impossible."""
NOT_CLOSED = {"allOf", "const", "default", "enum", "examples"}
"""Keywords that hold values, or parts of one object that must admit each other's properties."""


def build_messages(request: ChatRequest) -> list[JsonObject]:
    return [{"role": message.role, "content": message.content} for message in request.messages]


def build_body(request: ChatRequest) -> JsonObject:
    """The body of a chat call, without `build_place`."""
    sampling = request.sampling
    body: JsonObject = {
        "messages": build_messages(request),
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "seed": sampling.seed,
        "stop": list(request.stop),
        "reasoning_format": "none",  # what the model writes is the answer, tags and all
        "stream_options": {"include_usage": True},
    }
    if request.schema is not None:
        body["grammar"] = build_grammar(match_verbatim(request.schema, request.input))
    if request.top_logprobs is not None:
        # 0 would switch them off altogether
        body |= {"logprobs": True, "top_logprobs": max(1, request.top_logprobs)}
    return body


def build_next_token(prompt: Sequence[int], candidates: Sequence[int], *, among_all: bool) -> JsonObject:
    """The body, without `build_place`, of a completion that asks how likely some next tokens are.

    Args:
        prompt: tokens.
        candidates: tokens. One of them is generated, whatever the model prefers.
        among_all: probabilities as the model gives them, of the candidates among the `MOST_LIKELY`
            tokens; else renormalised over the candidates, all of them.
    """
    return {
        "prompt": list(prompt),
        "n_predict": 1,
        "temperature": 1.0,
        "samplers": ["temperature"],
        "logit_bias": [[token, LABEL_BIAS] for token in candidates],
        "n_probs": MOST_LIKELY if among_all else len(candidates),
        "post_sampling_probs": not among_all,
    }


def build_place(slot: int, scales: Sequence[float]) -> JsonObject:
    """What every call that computes has in common.

    Args:
        slot: see `embedded_slot`.
        scales: one per loaded adapter, in the order they were loaded; 0 switches one off. All are named,
            because one left out keeps the scale of an earlier request.
    """
    return {
        "id_slot": slot,
        "lora": [{"id": index, "scale": scale} for index, scale in enumerate(scales)],
        "cache_prompt": True,
        "stream": True,
        "return_progress": True,  # writes during prefill too, so that a closed stream is noticed
    }


def build_grammar(schema: Mapping[str, Any]) -> str:
    """A JSON schema as a grammar for llguidance, which is compiled into the engine.

    Not `response_format`: that also allows a Markdown fence before the JSON, which costs tokens and then
    is cut out of the text, so that tokens and text part ways.
    """
    return "%llguidance {}\nstart: %json " + json.dumps({**close_objects(schema), "x-guidance": JSON_LAYOUT})


def close_objects(schema: Mapping[str, Any]) -> JsonObject:
    """The schema with no properties allowed but the named ones, unless it says otherwise.

    JSON schema's default is the opposite, and an invitation to small models to go on inventing fields
    until their tokens run out. Ollama and llama.cpp's own converter read schemas in this way too.
    """
    closed = {key: _close(key, value) for key, value in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed


def _close(key: str, value: Any) -> Any:
    if key in NOT_CLOSED:
        return value
    if isinstance(value, dict):
        return close_objects(cast("JsonObject", value))
    if isinstance(value, list):
        return [_close("", each) for each in cast("list[Any]", value)]
    return value
