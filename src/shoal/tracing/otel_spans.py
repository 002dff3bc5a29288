"""Spans and metrics through OpenTelemetry. Imported only when there is somewhere to send them.

An application that has a tracer of its own can pass it: `OtelSpans(trace.get_tracer("shop"), None)`. Nothing
here touches the global providers. Error messages are left out as well as prompts and answers: they quote.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import final

from opentelemetry.metrics import Histogram, Meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from shoal.core.chat import ChatRequest, ChatResponse
from shoal.core.decision import Decision
from shoal.core.usage import Usage
from shoal.tracing.names import DURATION_BUCKETS_S, NAMES, TOKEN_BUCKETS, Names
from shoal.tracing.record import CallRow
from shoal.tracing.scope import Scope
from shoal.tracing.spans import (
    AgentSpan,
    CallSpan,
    EmbeddingsSpan,
    OpenSpan,
    RetrievalSpan,
    RoutingSpan,
    ToolSpan,
    WorkflowSpan,
)
from shoal.tracing.spans import SpanKind as Kind

__all__ = ["OtelSpans"]

Attributes = dict[str, AttributeValue]


@final
class OtelSpans:
    """Spans of one tracer; metrics of one meter, if there is one."""

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter | None,
        *,
        names: Names = NAMES["1.41"],
        content_agents: frozenset[str] = frozenset(),
    ) -> None:
        """`content_agents`: agents whose prompts and answers go into the spans."""
        self._tracer = tracer
        self._names = names
        self._content_agents = content_agents
        self._instruments = None if meter is None else _Instruments(meter, names)

    @contextmanager
    def open(self, kind: Kind, /) -> Generator[OpenSpan]:
        name, attributes = _describe(kind, self._names)
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield _OtelSpan(span, self._names)
            except BaseException as error:
                _mark_failed(span, self._names, type(error).__name__)
                raise

    def start_chat(self, model: str, request: ChatRequest, scope: Scope, /) -> CallSpan:
        names = self._names
        attributes = _request_attributes(names, model, request) | _scope_attributes(names, scope)
        shows_content = scope.agent in self._content_agents
        if shows_content:
            attributes[names.input_messages] = _messages_json(
                [(message.role, message.content) for message in request.messages]
            )
        span = self._tracer.start_span(
            f"{names.chat} {model.partition(':')[2]}", kind=SpanKind.CLIENT, attributes=attributes
        )
        return _OtelCallSpan(span, names, self._instruments, shows_content=shows_content)


@final
class _OtelSpan:
    def __init__(self, span: Span, names: Names) -> None:
        self._span = span
        self._names = names

    def decided(self, decision: Decision, /) -> None:
        names = self._names
        self._span.set_attributes(
            _known(
                {
                    names.route_selected: decision.agent,
                    names.route_confidence: decision.confidence,
                    names.route_calibrated: decision.calibrated,
                    names.route_margin: decision.margin,
                    names.route_threshold: decision.threshold,
                    names.route_candidates: _best_first(decision),
                    names.route_abstained: decision.abstained,
                }
            )
        )

    def escalated(self, *, reason: str, from_model: str, to_model: str) -> None:
        names = self._names
        self._span.set_attributes(
            {
                names.escalation_triggered: True,
                names.escalation_reason: reason,
                names.escalation_from: from_model,
                names.escalation_to: to_model,
            }
        )

    def shown(self, first_shown_s: float, /) -> None:
        self._span.set_attribute(self._names.time_to_first_chunk, first_shown_s)

    def used(self, usage: Usage, /) -> None:
        names = self._names
        self._span.set_attributes(
            _known(
                {
                    names.aggregated_input_tokens: usage.input_tokens,
                    names.aggregated_output_tokens: usage.output_tokens,
                    names.aggregated_cached_tokens: usage.cached_tokens,
                }
            )
        )


@final
class _OtelCallSpan:
    def __init__(
        self, span: Span, names: Names, instruments: "_Instruments | None", *, shows_content: bool
    ) -> None:
        self._span = span
        self._names = names
        self._instruments = instruments
        self._shows_content = shows_content

    def end(self, row: CallRow, response: ChatResponse | None, /) -> None:
        names, span = self._names, self._span
        span.set_attributes(_row_attributes(names, row))
        if response is not None and self._shows_content:
            span.set_attribute(names.output_messages, _messages_json([("assistant", response.text)]))
        if row.status != "ok":
            _mark_failed(span, names, row.error_class or row.status)
        if self._instruments is not None:
            self._instruments.record(row)
        span.end()


@final
class _Instruments:
    def __init__(self, meter: Meter, names: Names) -> None:
        self._names = names
        self._duration = meter.create_histogram(
            names.metric_duration, unit="s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS_S
        )
        self._first_chunk = meter.create_histogram(
            names.metric_first_chunk, unit="s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS_S
        )
        self._tokens: dict[str, Histogram] = {
            name: meter.create_histogram(
                name, unit="{token}", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS
            )
            for name in {names.metric_input_tokens, names.metric_output_tokens}
        }

    def record(self, row: CallRow) -> None:
        names = self._names
        about = _known(
            {
                names.operation_name: names.chat,
                names.provider_name: row.engine,
                names.request_model: row.model,
                names.error_type: None if row.status == "ok" else row.error_class or row.status,
            }
        )
        self._duration.record(row.latency_s, about)
        if row.first_token_s is not None:
            self._first_chunk.record(row.first_token_s, about)
        for metric, kind, tokens in (
            (names.metric_input_tokens, "input", row.input_tokens),
            (names.metric_output_tokens, "output", row.output_tokens),
        ):
            if tokens is not None:
                labels = about if names.token_type is None else {**about, names.token_type: kind}
                self._tokens[metric].record(tokens, labels)


def _best_first(decision: Decision) -> tuple[str, ...]:
    return tuple(sorted(decision.scores, key=lambda agent: -decision.scores[agent]))


def _describe(kind: Kind, names: Names) -> tuple[str, Attributes]:
    """Name and first attributes of a span."""
    match kind:
        case WorkflowSpan():
            operation, subject = names.workflow, kind.team
            own = {
                names.workflow_name: kind.team,
                names.conversation_id: kind.thread_id,
                names.run_id: kind.run_id,
            }
        case AgentSpan():
            operation, subject = names.agent, kind.name
            own = {
                names.agent_name: kind.name,
                names.agent_description: kind.job or None,
                names.step_id: kind.step_id,
            }
        case RoutingSpan():
            return names.route, {names.openinference_kind: "DECISION"}
        case RetrievalSpan():
            operation, subject = names.retrieval, kind.collection
            own = {names.data_source_id: kind.collection}
        case EmbeddingsSpan():
            operation, subject = names.embeddings, kind.model
            own = {names.request_model: kind.model, names.embedding_dimensions: kind.dimensions}
        case ToolSpan():
            operation, subject = names.tool, kind.name
            own = {names.tool_name: kind.name, names.tool_type: "function", names.tool_call_id: kind.call_id}
    return f"{operation} {subject}", {names.operation_name: operation} | _known(own)


def _request_attributes(names: Names, model: str, request: ChatRequest) -> Attributes:
    engine, _, name = model.partition(":")
    sampling = request.sampling
    attributes: Attributes = {
        names.operation_name: names.chat,
        names.provider_name: engine,
        names.request_model: name,
        names.request_stream: True,
        names.max_tokens: request.max_tokens,
        names.temperature: sampling.temperature,
        names.top_p: sampling.top_p,
        names.top_k: sampling.top_k,
        names.seed: sampling.seed,
        names.output_type: "text" if request.schema is None else "json",
    }
    if request.stop:
        attributes[names.stop_sequences] = request.stop
    return attributes


def _scope_attributes(names: Names, scope: Scope) -> Attributes:
    return _known(
        {
            names.run_id: scope.run_id,
            names.step_id: scope.step_id,
            names.agent_name: scope.agent,
            names.call_purpose: scope.purpose,
            names.call_attempt: scope.attempt,
        }
    )


def _row_attributes(names: Names, row: CallRow) -> Attributes:
    return _known(
        {
            names.call_id: row.id,
            names.call_digest: row.digest,
            names.call_adapter: row.adapter,
            names.call_remote: row.remote,
            names.call_from_cache: row.from_cache,
            names.response_model: row.model if row.status == "ok" else None,
            names.finish_reasons: None if row.finish_reason is None else (row.finish_reason,),
            names.time_to_first_chunk: row.first_token_s,
            names.input_tokens: row.input_tokens,
            names.output_tokens: row.output_tokens,
            names.cached_tokens: row.cached_tokens,
            names.queue_s: row.queue_s,
            names.load_s: row.load_s,
            names.prefill_s: row.prefill_s,
            names.decode_s: row.decode_s,
            names.energy_j: row.energy_j,
            names.energy_method: row.energy_method,
            names.cost_amount: row.cost_usd,
            names.cost_currency: None if row.cost_usd is None else "USD",
            names.cost_source: None if row.cost_usd is None else row.cost_method,
        }
    )


def _mark_failed(span: Span, names: Names, error_type: str) -> None:
    span.set_attribute(names.error_type, error_type)
    span.set_status(Status(StatusCode.ERROR))


def _known(attributes: Mapping[str, AttributeValue | None]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}


def _messages_json(messages: list[tuple[str, str]]) -> str:
    return json.dumps(
        [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages]
    )
