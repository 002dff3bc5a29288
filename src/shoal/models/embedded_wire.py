"""What goes over the embedded engine's socket: the request as llama-server reads it, the lines it streams.

Pure; no I/O. Only what Shoal reads is modelled; the server may say more.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from shoal.core.chat import ChatRequest, TokenLogprob
from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    ModelError,
    Overloaded,
    RequestRefused,
    StreamBroken,
)

__all__ = ["Chunk", "ErrorReply", "build_body", "build_messages", "parse_chunk", "parse_refusal"]

JsonObject = dict[str, Any]

JSON_LAYOUT: JsonObject = {
    # The layout of `json.dumps`, and no other: small models can fill an answer with white space.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # An unknown keyword loosens the grammar; otherwise it would switch the whole grammar off.
    "lenient": True,
}
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


class Chunk(BaseModel):
    """One line of the stream. The last one has no choices but usage and timings."""

    choices: list[Choice] = []
    usage: TokenUsage | None = None
    timings: Timings | None = None
    error: ErrorReply | None = None

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or "" for choice in self.choices)

    @property
    def finish_reason(self) -> str | None:
        return self.choices[0].finish_reason if self.choices else None

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


def build_body(request: ChatRequest, scales: Sequence[float]) -> JsonObject:
    """The body of a chat call.

    Args:
        request: what to ask.
        scales: one per loaded adapter, in the order they were loaded; 0 switches one off. All are
            sent, because an adapter left out keeps the scale of an earlier request.
    """
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
        "lora": [{"id": index, "scale": scale} for index, scale in enumerate(scales)],
        "cache_prompt": True,
        "stream": True,
        "return_progress": True,  # writes during prefill too: so a closed stream is noticed
        "stream_options": {"include_usage": True},
    }
    if request.schema is not None:
        body["grammar"] = build_grammar(request.schema)
    if request.top_logprobs is not None:
        # 0 would switch them off altogether
        body |= {"logprobs": True, "top_logprobs": max(1, request.top_logprobs)}
    return body


def build_grammar(schema: Mapping[str, Any]) -> str:
    """A JSON schema as a grammar for llguidance, which is compiled into the engine.

    Not `response_format`: that also allows a Markdown fence before the JSON, which costs tokens and then
    is cut out of the text, so that tokens and text part ways.
    """
    return "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": JSON_LAYOUT})


def parse_chunk(line: str) -> Chunk | None:
    """One line of the event stream; None for what carries no data.

    Raises:
        StreamBroken: the line is not what the server promises.
    """
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    try:
        return Chunk.model_validate_json(line.removeprefix("data: "))
    except ValidationError as error:
        raise StreamBroken("the engine sent an unreadable line", why=str(error)) from error


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
