"""The ports: what the parts of Shoal ask of one another."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.decision import Decision, Subtask
from shoal.core.passage import Passage

__all__ = ["ChatModel", "LabelScorer", "ModelInfo", "Retriever", "RoutePort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What an engine says about a model. `None` = it does not say."""

    name: str
    """`engine:model`."""
    digest: str | None = None
    num_ctx: int | None = None
    """Tokens of prompt and answer together that a call may use."""
    size_bytes: int | None = None
    remote: bool = False
    """The work happens on another machine."""
    capabilities: frozenset[str] = field(default_factory=frozenset[str])
    """Of "logprobs", "schema", "adapters", "labels", "thinking", "tools"."""


@runtime_checkable
class ChatModel(Protocol):
    """A model behind some engine. Safe to use from many tasks of one event loop."""

    @property
    def name(self) -> str:
        """`engine:model`, e.g. "ollama:gemma3:1b"."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask. Deltas, then one response; closing the generator cancels the work at the engine."""
        ...

    async def describe(self) -> ModelInfo:
        """Ask the engine about the model, loading nothing."""
        ...

    async def count_tokens(self, request: ChatRequest) -> int | None:
        """Tokens of the prompt as the engine would see it; None = only the engine can tell."""
        ...

    async def aclose(self) -> None:
        """Give back connections and processes. Idempotent."""
        ...


@runtime_checkable
class LabelScorer(Protocol):
    """An engine that can say how likely each of a few given answers is."""

    async def score_labels(self, request: ChatRequest, labels: Sequence[str]) -> Mapping[str, float]:
        """Probability per label, renormalised over `labels` (sums to 1)."""
        ...


class Retriever(Protocol):
    """Looks passages up."""

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        """At most `limit` passages, best first, each with its score."""
        ...


class RoutePort(Protocol):
    """Sends texts to agents."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Names it may answer with."""
        ...

    @property
    def digest(self) -> str | None:
        """Content hash of all its decisions depend on; None = it cannot tell. A certificate of an agent is
        void once the router that sends it texts is another one.
        """
        ...

    def decide(self, text: str) -> Decision:
        """Pick an agent or abstain. CPU only, a few milliseconds, no model call."""
        ...

    def split(self, text: str) -> tuple[Subtask, ...]:
        """The units of work in a request, in order; at least one."""
        ...
