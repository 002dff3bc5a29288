"""One question to a model and its answer: request, streamed events, response.

A stream is any number of `ChatDelta`s and then exactly one `ChatResponse`, whose text and tokens are
those of the deltas joined. `complete` folds a stream; there is no second, unstreamed way to ask.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from shoal.core.errors import StreamBroken
from shoal.core.passage import Passage
from shoal.core.usage import Usage

__all__ = [
    "ChatDelta",
    "ChatEvent",
    "ChatRequest",
    "ChatResponse",
    "FinishReason",
    "Message",
    "Role",
    "Sampling",
    "TokenLogprob",
    "complete",
]

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "refusal"]
JsonSchema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Every sampling option is always sent: engines' own defaults differ by version."""

    temperature: float = 0.0
    """0 = greedy."""
    top_p: float = 1.0
    top_k: int = 40
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    """1 = none."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What to ask. Adapters must send all of it or raise `RequestRefused`; nothing is dropped."""

    messages: tuple[Message, ...]
    """Constant text first (instructions, examples), so that engines can reuse their prefix cache."""
    max_tokens: int = 512
    sampling: Sampling = field(default_factory=Sampling)
    schema: JsonSchema | None = None
    """JSON schema the answer is constrained to. Engines enforce it in part only: validate anyway.
    `x-verbatim` marks strings that come from `input` (shoal.core.verbatim)."""
    top_logprobs: int | None = None
    """Alternatives wanted per token, 0 to 20; None = no logprobs at all."""
    adapter: str | None = None
    """A LoRA adapter to apply to this request only, by the name that the model knows it by."""
    stop: tuple[str, ...] = ()
    input: str = ""
    """The text the messages were built from: in-process functions read it, verbatim strings stand in it."""
    passages: tuple[Passage, ...] = ()
    """The passages the messages quote. Only in-process functions read them."""
    reuse: bool = False
    """An answer that was given before to the very same request will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token. The logprob is the raw model's, before grammar and temperature."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """Alternatives, most likely first, the chosen token usually among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDelta:
    text: str
    tokens: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    text: str
    finish_reason: FinishReason
    usage: Usage
    model: str
    """`engine:model`, as asked for."""
    digest: str | None = None
    """Content hash of the weights that answered; None = the engine does not say."""
    tokens: tuple[TokenLogprob, ...] = ()
    """Empty unless logprobs were asked for. May not align with `text`: match by accumulating."""
    probability: float | None = None
    """Probability the engine gives this answer among the allowed ones (labels), in [0, 1]."""
    cost_usd: float | None = None
    """What the call cost when it was made, as the ledger has it; None = unknown, or not recorded."""
    from_cache: bool = False
    """It was made before; nobody was asked."""

    @property
    def made_by(self) -> str:
        """What a promise about such answers is bound to: the weights, or the model's name where the engine
        does not say which they are.
        """
        return self.digest or self.model


ChatEvent = ChatDelta | ChatResponse


async def complete(events: AsyncGenerator[ChatEvent]) -> ChatResponse:
    """Read a stream to its end and return the response.

    Raises:
        StreamBroken: the stream ended without a response.
    """
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ChatResponse):
                return event
    raise StreamBroken("the stream ended without a response")
