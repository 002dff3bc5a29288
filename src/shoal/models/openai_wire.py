"""What an OpenAI-compatible server sends, as far as Shoal reads it. Unknown fields are ignored."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shoal.core.chat import FinishReason, TokenLogprob
from shoal.core.usage import Usage

__all__ = [
    "FINISH_REASONS",
    "Chunk",
    "ModelCard",
    "ModelList",
    "WireTimings",
    "WireUsage",
    "parse_logprobs",
    "parse_usage",
]

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}
"""Others ("abort", "error", "tool_calls" that nobody asked for) are no end of an answer."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Alternative(_Wire):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: tuple[_Alternative, ...] = ()


class Logprobs(_Wire):
    content: tuple[_Token, ...] | None = None
    refusal: tuple[_Token, ...] | None = None


class _Delta(_Wire):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Wire):
    delta: _Delta = _Delta()
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(_Wire):
    cached_tokens: int | None = None


class WireUsage(_Wire):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class WireTimings(_Wire):
    """llama-server's own."""

    prompt_ms: float | None = None
    predicted_ms: float | None = None


class Chunk(_Wire):
    """One event of the stream: a piece of text, the end, the usage, or an error."""

    choices: tuple[_Choice, ...] = ()
    usage: WireUsage | None = None
    timings: WireTimings | None = None
    error: Any = None


class ModelCard(_Wire):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    """vLLM's own: its context window in tokens."""


class ModelList(_Wire):
    data: tuple[ModelCard, ...] = Field(default=())


def parse_logprobs(logprobs: Logprobs | None) -> tuple[TokenLogprob, ...]:
    """Tokens in order. Alternatives are sorted here: vLLM puts the chosen one first."""
    if logprobs is None:
        return ()
    tokens = (*(logprobs.content or ()), *(logprobs.refusal or ()))
    return tuple(
        TokenLogprob(
            text=token.token,
            logprob=token.logprob,
            top=tuple(
                sorted(
                    ((other.token, other.logprob) for other in token.top_logprobs), key=lambda pair: -pair[1]
                )
            ),
        )
        for token in tokens
    )


def parse_usage(
    usage: WireUsage | None, timings: WireTimings | None, *, first_token_s: float | None
) -> Usage:
    usage, timings = usage or WireUsage(), timings or WireTimings()
    details = usage.prompt_tokens_details or _PromptDetails()
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=details.cached_tokens,
        prefill_s=None if timings.prompt_ms is None else timings.prompt_ms / 1e3,
        decode_s=None if timings.predicted_ms is None else timings.predicted_ms / 1e3,
        first_token_s=first_token_s,
    )
