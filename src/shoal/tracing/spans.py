"""Spans: the ledger's rows as a trace that other programs can show. Best effort, unlike the ledger.

This is the port, and the spans of a program that exports none, which cost next to nothing and import nothing.
The real ones are in `otel_spans`. Contents (prompts, answers) stay out unless asked for by agent.

    with spans.open(AgentSpan(name="order-reader", step_id=step.id)) as span:
        ...
        span.used(usage)
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, final

from shoal.core.chat import ChatRequest, ChatResponse
from shoal.core.decision import Decision
from shoal.core.usage import Usage
from shoal.tracing.record import CallRow
from shoal.tracing.scope import Scope

__all__ = [
    "AgentSpan",
    "CallSpan",
    "EmbeddingsSpan",
    "NoSpans",
    "OpenSpan",
    "RetrievalSpan",
    "RoutingSpan",
    "SpanKind",
    "Spans",
    "ToolSpan",
    "WorkflowSpan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSpan:
    """A run of a team."""

    team: str
    run_id: str
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpan:
    """A step of an agent."""

    name: str
    step_id: str
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSpan:
    """A decision of the router."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSpan:
    collection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsSpan:
    model: str
    dimensions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpan:
    name: str
    call_id: str | None = None


SpanKind = WorkflowSpan | AgentSpan | RoutingSpan | RetrievalSpan | EmbeddingsSpan | ToolSpan


class OpenSpan(Protocol):
    """What becomes known while a span is open."""

    def decided(self, decision: Decision, /) -> None:
        """Where the router sent the text."""
        ...

    def escalated(self, *, reason: str, from_model: str, to_model: str) -> None:
        """A larger model is asked."""
        ...

    def shown(self, first_shown_s: float, /) -> None:
        """A reader saw the first token so many seconds after the request."""
        ...

    def used(self, usage: Usage, /) -> None:
        """What all the calls inside took together; the calls' own spans carry their own."""
        ...


class CallSpan(Protocol):
    """The span of one model call. It is never the current span: streams are read from anywhere."""

    def end(self, row: CallRow, response: ChatResponse | None, /) -> None:
        """Close it with what the ledger says."""
        ...


class Spans(Protocol):
    def open(self, kind: SpanKind, /) -> AbstractContextManager[OpenSpan]:
        """A span that is the current one inside the block; an exception marks it as failed."""
        ...

    def start_chat(self, model: str, request: ChatRequest, scope: Scope, /) -> CallSpan:
        """The span of a call to `model` (`engine:model`), under the span that is current now."""
        ...


@final
class _Nothing:
    """A span of either sort that does nothing."""

    def decided(self, _decision: Decision, /) -> None: ...

    def escalated(self, *, reason: str, from_model: str, to_model: str) -> None: ...

    def shown(self, _first_shown_s: float, /) -> None: ...

    def used(self, _usage: Usage, /) -> None: ...

    def end(self, _row: CallRow, _response: ChatResponse | None, /) -> None: ...

    def __enter__(self) -> OpenSpan:
        return self

    def __exit__(self, *failure: object) -> None: ...


_NOTHING = _Nothing()


@final
class NoSpans:
    """For programs without an exporter."""

    def open(self, _kind: SpanKind, /) -> AbstractContextManager[OpenSpan]:
        return _NOTHING

    def start_chat(self, _model: str, _request: ChatRequest, _scope: Scope, /) -> CallSpan:
        return _NOTHING
