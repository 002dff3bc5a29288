"""Spans that go out over HTTP, and endpoints that hang, fail or are not there."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import final

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import ConfigError
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.export import Endpoint, build_telemetry
from shoal.tracing.ledger import Ledger
from shoal.tracing.recorded_model import RecordedModel, Recorder
from shoal.tracing.span_queue import BATCH_LIMIT, SpanQueue
from shoal.tracing.spans import NoSpans, RoutingSpan, WorkflowSpan

REQUEST = ChatRequest(messages=(Message("user", "hello"),))


@final
class Collector(ThreadingHTTPServer):
    """Takes what is sent, like an OpenTelemetry collector."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, str | None, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Collector)
        self.server.received.append((self.path, self.headers["X-Key"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@pytest.fixture
def collector() -> Generator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def hanging_endpoint() -> Generator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_spans_and_metrics_arrive(ledger: Ledger, collector: Collector) -> None:
    telemetry = build_telemetry(Endpoint(url=collector.url + "/", headers={"X-Key": "k"}, service="desk"))
    model = RecordedModel(ScriptedModel("a b"), Recorder(ledger=ledger, spans=telemetry.spans))
    with telemetry.spans.open(WorkflowSpan(team="desk", run_id="r")):
        await complete(model.stream(REQUEST))
    await telemetry.aclose()
    await telemetry.aclose()

    bodies = {path: body for path, _, body in collector.received}
    assert set(bodies) == {"/v1/traces", "/v1/metrics"}
    assert {key for _, key, _ in collector.received} == {"k"}
    (resource,) = ExportTraceServiceRequest.FromString(bodies["/v1/traces"]).resource_spans
    services = [
        pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name"
    ]
    assert services == ["desk"]
    assert {span.name for scope in resource.scope_spans for span in scope.spans} == {
        "invoke_workflow desk",
        "chat model",
    }
    metrics = ExportMetricsServiceRequest.FromString(bodies["/v1/metrics"])
    names = {
        metric.name
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert "gen_ai.client.operation.duration" in names
    assert telemetry.dropped_spans == 0


async def test_an_endpoint_that_hangs_holds_up_no_call_and_loses_no_row(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with hanging_endpoint() as url:
        telemetry = build_telemetry(Endpoint(url=url, close_s=0.1))
        model = RecordedModel(ScriptedModel("a b"), Recorder(ledger=ledger, spans=telemetry.spans))
        async with asyncio.timeout(30):  # a call that waited for the endpoint would wait for ever
            await asyncio.gather(*(complete(model.stream(REQUEST)) for _ in range(500)))
        await telemetry.aclose()

    assert ledger.totals().overall.calls == 500
    assert telemetry.dropped_spans == 500


async def test_an_endpoint_that_is_not_there_is_counted(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    telemetry = build_telemetry(Endpoint(url=url, close_s=0.1))
    with telemetry.spans.open(RoutingSpan()):
        pass
    await telemetry.aclose()

    assert telemetry.dropped_spans == 1


def test_an_endpoint_has_an_http_address() -> None:
    with pytest.raises(ConfigError, match='"collector:4317" is not an HTTP address') as failure:
        build_telemetry(Endpoint(url="collector:4317"))
    assert failure.value.mend == 'write it as "http://127.0.0.1:4318"'


async def test_without_an_endpoint_nothing_happens() -> None:
    telemetry = build_telemetry(None)

    assert isinstance(telemetry.spans, NoSpans)
    assert telemetry.dropped_spans == 0
    await telemetry.aclose()


def test_without_an_endpoint_nothing_is_imported() -> None:
    program = """
import sys
from shoal.tracing.export import build_telemetry
from shoal.tracing.recorded_model import RecordedModel
build_telemetry(None)
print([name for name in sys.modules if name.startswith(("opentelemetry", "requests", "google.protobuf"))])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


@final
class GatedExporter(SpanExporter):
    """Takes nothing until it is opened."""

    def __init__(self, result: SpanExportResult) -> None:
        self.gate = threading.Event()
        self.taken = 0
        self._result = result

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait()
        self.taken += len(spans)
        return self._result


def end_spans(queue: SpanQueue, count: int) -> None:
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(queue)
    tracer = tracers.get_tracer("test")
    for _ in range(count):
        tracer.start_span("s").end()


def test_the_queue_is_bounded_and_counts_what_it_loses() -> None:
    exporter = GatedExporter(SpanExportResult.SUCCESS)
    queue = SpanQueue(exporter, limit=10)

    end_spans(queue, 5_000)
    lost = queue.dropped
    exporter.gate.set()
    assert queue.force_flush()
    queue.shutdown()

    assert lost >= 5_000 - 10 - BATCH_LIMIT
    assert exporter.taken == 5_000 - queue.dropped


def test_what_the_endpoint_refuses_is_lost() -> None:
    exporter = GatedExporter(SpanExportResult.FAILURE)
    exporter.gate.set()
    queue = SpanQueue(exporter)

    end_spans(queue, 100)
    queue.shutdown()

    assert (exporter.taken, queue.dropped) == (100, 100)


def test_what_comes_after_closing_is_lost() -> None:
    exporter = GatedExporter(SpanExportResult.SUCCESS)
    exporter.gate.set()
    queue = SpanQueue(exporter)
    end_spans(queue, 3)
    queue.shutdown()

    end_spans(queue, 2)
    queue.shutdown()

    assert (exporter.taken, queue.dropped) == (3, 2)


def test_flushing_gives_up_in_time() -> None:
    exporter = GatedExporter(SpanExportResult.SUCCESS)
    queue = SpanQueue(exporter, close_s=0.05)
    end_spans(queue, 1)

    assert not queue.force_flush(timeout_millis=50)
    queue.shutdown()
    assert queue.dropped == 1
    exporter.gate.set()


async def test_proxies_of_the_environment_get_nothing(
    ledger: Ledger, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hanging_endpoint() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        telemetry = build_telemetry(Endpoint(url=collector.url))
        model = RecordedModel(ScriptedModel("a b"), Recorder(ledger=ledger, spans=telemetry.spans))
        await complete(model.stream(REQUEST))
        await telemetry.aclose()
    assert {path for path, _, _ in collector.received} == {"/v1/traces", "/v1/metrics"}
