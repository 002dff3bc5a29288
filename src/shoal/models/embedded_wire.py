"""What the embedded engine answers: llama-server's lines and errors. Pure; the questions are
`embedded_request`'s. Only what Shoal reads is modelled; the server may say more.
"""

import math

from pydantic import BaseModel, TypeAdapter, ValidationError

from shoal.core.chat import TokenLogprob
from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    ModelError,
    Overloaded,
    RequestRefused,
    StreamBroken,
)

__all__ = ["Chunk", "parse_chunk", "parse_prompt", "parse_refusal", "parse_slot_size", "parse_tokens"]


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
