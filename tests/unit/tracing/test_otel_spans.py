import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.decision import Decision
from shoal.core.errors import EngineDown
from shoal.core.usage import Usage
from shoal.testing.scripted import Script, ScriptedModel, Turn
from shoal.tracing.cost import CostModel, Price
from shoal.tracing.ledger import Ledger
from shoal.tracing.names import NAMES, Convention
from shoal.tracing.otel_spans import OtelSpans
from shoal.tracing.recorded_model import RecordedModel, Recorder
from shoal.tracing.scope import scope
from shoal.tracing.spans import (
    AgentSpan,
    EmbeddingsSpan,
    NoSpans,
    RetrievalSpan,
    RoutingSpan,
    Spans,
    ToolSpan,
    WorkflowSpan,
)

SECRET = "the patient is called Ada"
REQUEST = ChatRequest(messages=(Message("user", SECRET),), stop=("END",), max_tokens=20)
DECISION = Decision(
    agent="writer",
    confidence=0.8,
    calibrated=True,
    best="writer",
    margin=0.5,
    threshold=0.6,
    scores={"reader": 0.3, "writer": 0.8},
)


@dataclass(frozen=True)
class Backend:
    """What would have been exported."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    spans: OtelSpans

    def finished(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self) -> dict[str, list[HistogramDataPoint]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: [point for point in metric.data.data_points if isinstance(point, HistogramDataPoint)]
            for resource in data.resource_metrics
            for measured in resource.scope_metrics
            for metric in measured.metrics
        }


def backend(convention: Convention = "1.41", *, content_agents: frozenset[str] = frozenset()) -> Backend:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    spans = OtelSpans(
        tracers.get_tracer("test"),
        meters.get_meter("test"),
        names=NAMES[convention],
        content_agents=content_agents,
    )
    return Backend(exporter, reader, spans)


def recorded(ledger: Ledger, spans: Spans, script: Script) -> RecordedModel:
    costs = CostModel(prices={"openai:big": Price(input_usd=1e6, output_usd=1e6)})
    return RecordedModel(
        ScriptedModel(script, name="openai:big"),
        Recorder(ledger=ledger, costs=costs, spans=spans),
        remote=True,
    )


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def test_spans_nest_and_carry_the_names_of_the_conventions() -> None:
    seen = backend()
    spans = seen.spans

    with spans.open(WorkflowSpan(team="desk", run_id="r", thread_id="t")) as workflow:
        with spans.open(RoutingSpan()) as routing:
            routing.decided(DECISION)
        with spans.open(AgentSpan(name="writer", step_id="s", job="Write.")) as agent:
            with spans.open(ToolSpan(name="clock", call_id="c")):
                pass
            with spans.open(RetrievalSpan(collection="handbook")):
                pass
            with spans.open(EmbeddingsSpan(model="minilm", dimensions=384)):
                pass
            agent.used(Usage(input_tokens=7, output_tokens=0))
            agent.escalated(reason="not sure", from_model="ollama:a", to_model="openai:big")
        workflow.used(Usage(input_tokens=7, output_tokens=0, cached_tokens=1))

    finished = seen.finished()
    assert set(finished) == {
        "invoke_workflow desk",
        "route",
        "invoke_agent writer",
        "execute_tool clock",
        "retrieval handbook",
        "embeddings minilm",
    }
    assert attributes(finished["invoke_workflow desk"]) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "desk",
        "gen_ai.conversation.id": "t",
        "shoal.run.id": "r",
        "gen_ai.aggregated_usage.input_tokens": 7,
        "gen_ai.aggregated_usage.output_tokens": 0,
        "gen_ai.aggregated_usage.cache_read.input_tokens": 1,
    }
    assert attributes(finished["route"]) == {
        "openinference.span.kind": "DECISION",
        "shoal.route.selected": "writer",
        "shoal.route.confidence": 0.8,
        "shoal.route.calibrated": True,
        "shoal.route.margin": 0.5,
        "shoal.route.threshold": 0.6,
        "shoal.route.candidates": ("writer", "reader"),
        "shoal.route.abstained": False,
    }
    assert attributes(finished["invoke_agent writer"]) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "writer",
        "gen_ai.agent.description": "Write.",
        "shoal.step.id": "s",
        "gen_ai.aggregated_usage.input_tokens": 7,
        "gen_ai.aggregated_usage.output_tokens": 0,
        "shoal.escalation.triggered": True,
        "shoal.escalation.reason": "not sure",
        "shoal.escalation.from_model": "ollama:a",
        "shoal.escalation.to_model": "openai:big",
    }
    assert attributes(finished["execute_tool clock"])["gen_ai.tool.call.id"] == "c"
    assert attributes(finished["retrieval handbook"])["gen_ai.data_source.id"] == "handbook"
    assert attributes(finished["embeddings minilm"])["gen_ai.embeddings.dimension.count"] == 384
    agent_span = finished["invoke_agent writer"]
    parent = finished["execute_tool clock"].parent
    assert parent is not None
    assert agent_span.context is not None
    assert parent.span_id == agent_span.context.span_id
    assert finished["invoke_workflow desk"].parent is None


async def test_a_call_has_a_span_under_its_agent(ledger: Ledger) -> None:
    seen = backend()
    model = recorded(ledger, seen.spans, "two words")

    with seen.spans.open(AgentSpan(name="writer", step_id="s")), scope(agent="writer"):
        await complete(model.stream(REQUEST))

    span = seen.finished()["chat big"]
    told = dict(attributes(span))
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is not None
    assert told.pop("shoal.call.id")
    assert isinstance(told.pop("gen_ai.response.time_to_first_chunk"), float)
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "big",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 20,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 0,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.output.type": "text",
        "gen_ai.agent.name": "writer",
        "gen_ai.response.model": "big",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cost.amount": 7.0,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "provider",
        "shoal.call.purpose": "answer",
        "shoal.call.attempt": 1,
        "shoal.call.from_cache": False,
        "shoal.call.remote": True,
        "shoal.energy.method": "none",
    }


async def test_content_is_shown_for_chosen_agents_only(ledger: Ledger) -> None:
    seen = backend(content_agents=frozenset({"writer"}))
    model = recorded(ledger, seen.spans, "her answer")

    with scope(agent="reader"):
        await complete(model.stream(REQUEST))
    (hidden,) = seen.exporter.get_finished_spans()
    seen.exporter.clear()
    with scope(agent="writer"):
        await complete(model.stream(REQUEST))
    (shown,) = seen.exporter.get_finished_spans()

    assert "Ada" not in hidden.to_json()
    assert "her answer" not in hidden.to_json()
    asked = json.loads(str(attributes(shown)["gen_ai.input.messages"]))
    answered = json.loads(str(attributes(shown)["gen_ai.output.messages"]))
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": SECRET}]}]
    assert answered == [{"role": "assistant", "parts": [{"type": "text", "content": "her answer"}]}]


async def test_a_failed_call_is_marked_without_quoting(ledger: Ledger) -> None:
    seen = backend()
    model = recorded(ledger, seen.spans, [Turn(error=EngineDown(f"broke at: {SECRET}"))])

    with pytest.raises(EngineDown), seen.spans.open(AgentSpan(name="writer", step_id="s")):
        await complete(model.stream(REQUEST))

    for span in seen.finished().values():
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "EngineDown"
        assert "Ada" not in span.to_json()
    assert len(seen.finished()) == 2


async def test_a_cancelled_call_is_closed(ledger: Ledger) -> None:
    seen = backend()
    events = recorded(ledger, seen.spans, "a b c").stream(REQUEST)
    await anext(events)
    await events.aclose()

    assert attributes(seen.finished()["chat big"])["error.type"] == "cancelled"


async def test_concurrent_calls_keep_their_parents(ledger: Ledger) -> None:
    seen = backend()
    model = recorded(ledger, seen.spans, "a b c d e f")

    async def work(name: str) -> None:
        with seen.spans.open(AgentSpan(name=name, step_id=name)), scope(agent=name):
            await complete(model.stream(REQUEST))

    await asyncio.gather(*(work(name) for name in "abcdef"))

    by_id = {span.context.span_id: span for span in seen.exporter.get_finished_spans() if span.context}
    chats = [span for span in by_id.values() if span.name == "chat big"]
    assert len(chats) == 6
    for chat in chats:
        assert chat.parent is not None
        parent = by_id[chat.parent.span_id]
        assert attributes(parent)["gen_ai.agent.name"] == attributes(chat)["gen_ai.agent.name"]


async def test_metrics_by_the_released_conventions(ledger: Ledger) -> None:
    seen = backend()
    model = recorded(ledger, seen.spans, [Turn(text="two words"), Turn(error=EngineDown("gone"))])
    await complete(model.stream(REQUEST))
    with pytest.raises(EngineDown):
        await complete(model.stream(REQUEST))

    points = seen.points()

    assert set(points) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
    }
    tokens = {
        (point.attributes or {})["gen_ai.token.type"]: point.sum
        for point in points["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 5, "output": 2}
    errors = [
        (point.attributes or {}).get("error.type") for point in points["gen_ai.client.operation.duration"]
    ]
    assert sorted(map(str, errors)) == ["EngineDown", "None"]


async def test_metrics_by_the_coming_conventions(ledger: Ledger) -> None:
    seen = backend("2026-11")
    await complete(recorded(ledger, seen.spans, "two words").stream(REQUEST))

    points = seen.points()

    assert {name: point.sum for name, (point,) in points.items() if "tokens" in name} == {
        "gen_ai.client.inference.operation.input_tokens": 5,
        "gen_ai.client.inference.operation.output_tokens": 2,
    }
    assert "gen_ai.client.inference.duration" in points


def test_without_an_exporter_a_span_is_nothing_and_hides_no_error() -> None:
    spans = NoSpans()
    with spans.open(AgentSpan(name="a", step_id="s")) as span:
        span.decided(DECISION)
        span.used(Usage())
        span.escalated(reason="", from_model="", to_model="")
    with pytest.raises(EngineDown), spans.open(RoutingSpan()):
        raise EngineDown("gone")
