"""Sends spans and metrics to an OTLP endpoint, when the configuration names one. Nobody waits for it.

Spans queue in bounded memory and a thread sends them. What the endpoint does not take in time is dropped and
counted: the ledger has it all anyway. Without an endpoint nothing is imported and no thread is started. The
providers are our own; the global ones of an application are left alone.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from shoal.core.errors import ConfigError
from shoal.tracing.names import NAMES, Convention
from shoal.tracing.spans import NoSpans, Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from shoal.tracing.span_queue import SpanQueue

__all__ = ["Endpoint", "Telemetry", "build_telemetry"]

SEND_TIMEOUT_S = 5.0
METRICS_EVERY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where spans and metrics go, and what is in them."""

    url: str
    """Base URL of OTLP over HTTP, e.g. "http://127.0.0.1:4318"; the signals' paths are appended."""
    headers: Mapping[str, str] | None = None
    service: str = "shoal"
    convention: Convention = "1.41"
    content_agents: frozenset[str] = frozenset()
    """Agents whose prompts and answers go into the spans."""
    close_s: float = 2.0
    """How long closing waits for the endpoint, for spans and for metrics each."""


@final
class Telemetry:
    """The spans to use, and the machinery behind them, if any."""

    def __init__(self, spans: Spans, exporting: "_Exporting | None" = None) -> None:
        self.spans = spans
        self._exporting = exporting

    @property
    def dropped_spans(self) -> int:
        """Spans that did not get to the endpoint so far."""
        return 0 if self._exporting is None else self._exporting.queue.dropped

    async def aclose(self) -> None:
        """Send what is left, for some seconds at most. Idempotent."""
        if self._exporting is not None:
            await asyncio.to_thread(self._exporting.close)


def build_telemetry(endpoint: Endpoint | None) -> Telemetry:
    """Spans that go to the endpoint; None = spans that do nothing.

    Raises:
        ConfigError: the endpoint is not an HTTP address.
    """
    if endpoint is None:
        return Telemetry(NoSpans())
    if not endpoint.url.startswith(("http://", "https://")):
        raise ConfigError(
            f'the OTLP endpoint "{endpoint.url}" is not an HTTP address',
            why="spans are sent as OTLP over HTTP, usually to port 4318",
            mend='write it as "http://127.0.0.1:4318"',
        )
    import requests
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from shoal.tracing.otel_spans import OtelSpans
    from shoal.tracing.span_queue import SpanQueue

    url, headers = endpoint.url.rstrip("/"), dict(endpoint.headers or {})
    # Proxies of the environment would carry spans off a machine that may send nothing.
    session = requests.Session()
    session.trust_env = False
    resource = Resource.create({"service.name": endpoint.service})
    span_queue = SpanQueue(
        OTLPSpanExporter(f"{url}/v1/traces", headers=headers, timeout=SEND_TIMEOUT_S, session=session),
        close_s=endpoint.close_s,
    )
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(span_queue)
    metrics = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{url}/v1/metrics", headers=headers, timeout=SEND_TIMEOUT_S, session=session),
        export_interval_millis=METRICS_EVERY_S * 1000,
        export_timeout_millis=SEND_TIMEOUT_S * 1000,
    )
    meters = MeterProvider([metrics], resource=resource, shutdown_on_exit=False)
    names = NAMES[endpoint.convention]
    spans = OtelSpans(
        tracers.get_tracer("shoal", schema_url=names.schema_url),
        meters.get_meter("shoal", schema_url=names.schema_url),
        names=names,
        content_agents=endpoint.content_agents,
    )
    return Telemetry(spans, _Exporting(tracers, meters, span_queue, endpoint.close_s))


@final
class _Exporting:
    def __init__(
        self, tracers: "TracerProvider", meters: "MeterProvider", queue: "SpanQueue", close_s: float
    ) -> None:
        self.queue = queue
        self._tracers = tracers
        self._meters = meters
        self._close_s = close_s
        self._is_closed = False

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._tracers.shutdown()
            self._meters.shutdown(timeout_millis=self._close_s * 1000)
