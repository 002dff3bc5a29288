"""What goes over the embedded engine's socket: the request as llama-server reads it, the lines it streams.

Pure; no I/O. Only what Shoal reads is modelled; the server may say more.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from shoal.core.chat import ChatRequest, TokenLogprob
from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    ModelError,
    Overloaded,
    RequestRefused,
    StreamBroken,
)

__all__ = [
    "JSON_FIRST",
    "Chunk",
    "build_body",
    "build_messages",
    "build_next_token",
    "build_place",
    "parse_chunk",
    "parse_prompt",
    "parse_refusal",
    "parse_slot_size",
    "parse_tokens",
]

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
JSON_FIRST = '{["-0123456789tfn'
"""What JSON can begin with."""


class Alternative(BaseModel):
    token: str
    logprob: float


class Token(Alternative):
    top_logprobs: list[Alternative] = []


class Logprobs(BaseModel):
    content: list[Token] = []


class Delta(BaseModel):
    content: str | None = None


class Candidate(BaseModel):
    """One of the two is there: before sampling a log probability, after it a probability."""

    id: int
    logprob: float | None = None
    prob: float | None = None

    @property
    def chance(self) -> float:
        return math.exp(self.logprob) if self.logprob is not None else self.prob or 0.0


class Scored(BaseModel):
    top_logprobs: list[Candidate] = []
    top_probs: list[Candidate] = []


class Choice(BaseModel):
    delta: Delta
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class TokenUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class Timings(BaseModel):
    cache_n: int
    prompt_ms: float
    predicted_ms: float


class ErrorReply(BaseModel):
    code: int
    message: str
    type: str


class Rendered(BaseModel):
    prompt: str


class Tokenized(BaseModel):
    tokens: list[int]


class Slot(BaseModel):
    n_ctx: int


class Chunk(BaseModel):
    """One line of the stream. The last one has no choices but usage and timings."""

    choices: list[Choice] = []
    usage: TokenUsage | None = None
    timings: Timings | None = None
    completion_probabilities: list[Scored] = []
    error: ErrorReply | None = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def finish_reason(self) -> str | None:
        return self.choices[0].finish_reason if self.choices else None

    @property
    def chances(self) -> dict[int, float]:
        """Probability per token, in the answer to `build_next_token`."""
        return {
            token.id: token.chance
            for scored in self.completion_probabilities
            for token in (*scored.top_logprobs, *scored.top_probs)
        }

    def tokens(self, top: int) -> tuple[TokenLogprob, ...]:
        """The chunk's tokens with at most `top` alternatives each."""
        return tuple(
            TokenLogprob(
                text=token.token,
                logprob=token.logprob,
                top=tuple((other.token, other.logprob) for other in token.top_logprobs[:top]),
            )
            for choice in self.choices
            if choice.logprobs is not None
            for token in choice.logprobs.content
        )


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
        body["grammar"] = build_grammar(request.schema)
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
    return "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": JSON_LAYOUT})


def parse_chunk(name: str, line: str) -> Chunk | None:
    """One line of a streamed answer; None for what carries no data.

    Raises:
        ModelError: the line says that the request failed.
        StreamBroken: the line is not what the server promises.
    """
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    try:
        chunk = Chunk.model_validate_json(line.removeprefix("data: "))
    except ValidationError as error:
        raise StreamBroken(f"{name}: the engine sent an unreadable line", why=str(error)) from error
    if chunk.error is not None:
        raise build_error(name, chunk.error)
    return chunk


def parse_prompt(content: bytes) -> str:
    """The messages as the model's template writes them, from the answer of `/apply-template`."""
    return Rendered.model_validate_json(content).prompt


def parse_tokens(content: bytes) -> tuple[int, ...]:
    """From the answer of `/tokenize`."""
    return tuple(Tokenized.model_validate_json(content).tokens)


def parse_slot_size(content: bytes) -> int:
    """Tokens of context per slot, from the answer of `/slots`."""
    return TypeAdapter(list[Slot]).validate_json(content)[0].n_ctx


def parse_refusal(name: str, content: bytes) -> ModelError:
    """The error for an answer with an error status."""
    try:
        error = Chunk.model_validate_json(content).error
    except ValidationError:
        error = None
    if error is None:
        return StreamBroken(f"{name}: the engine sent an unreadable error", why=repr(content[:200]))
    return build_error(name, error)


def build_error(name: str, error: ErrorReply) -> ModelError:
    if error.type == "exceed_context_size_error":
        return ContextOverflow(
            f"the prompt does not fit {name}",
            why=error.message,
            mend="raise num_ctx for this model in shoal.toml, or shorten the prompt",
        )
    if error.code == 429:
        return Overloaded(f"{name} is busy", why=error.message)
    if error.code == 503:
        return EngineDown(f"{name} is not ready", why=error.message)
    if error.code < 500:
        return RequestRefused(f"{name} refused the request", why=error.message)
    return StreamBroken(f"{name} failed while answering", why=error.message)
