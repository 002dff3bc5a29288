"""A span processor with bounded memory that counts what it loses.

OpenTelemetry's batch processor drops the oldest spans of a burst without a number anyone can read. This one
drops the newest, never waits, and says how many. Imported only when spans are exported.
"""

import queue
import threading
import time
from typing import final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ["SpanQueue"]

QUEUE_LIMIT = 4096
"""Spans that wait; some 8 MB."""
BATCH_LIMIT = 512
GATHER_S = 1.0
"""How long the first span of a batch waits for others."""
CLOSE_S = 2.0
"""How long closing waits for the endpoint."""


@final
class SpanQueue(SpanProcessor):
    """Hands spans to an exporter in a thread of its own."""

    def __init__(self, exporter: SpanExporter, *, limit: int = QUEUE_LIMIT, close_s: float = CLOSE_S) -> None:
        self._exporter = exporter
        self._close_s = close_s
        self._queue: queue.Queue[ReadableSpan] = queue.Queue(limit)
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._ended = 0
        self._sent = 0
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="shoal-spans", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Spans that were not delivered: the queue was full, or the endpoint did not take them."""
        with self._changed:
            return self._ended - self._sent - self._waiting

    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            self._ended += 1
            if self._closing.is_set():
                return
            try:
                self._queue.put_nowait(span)
            except queue.Full:
                return
            self._waiting += 1

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until nothing waits any more; False = it still does."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting == 0, timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what is left, within `close_s`; the rest counts as dropped. Idempotent."""
        self._closing.set()
        self._thread.join(self._close_s)
        with self._changed:
            self._waiting = 0
        self._exporter.shutdown()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            batch = self._gather()
            if not batch:
                continue
            was_sent = self._exporter.export(batch) is SpanExportResult.SUCCESS
            with self._changed:
                self._sent += len(batch) if was_sent else 0
                self._waiting = max(0, self._waiting - len(batch))
                self._changed.notify_all()

    def _gather(self) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        give_up_at = time.monotonic() + GATHER_S
        while len(batch) < BATCH_LIMIT and time.monotonic() < give_up_at:
            try:
                # In short waits, so that closing is noticed.
                batch.append(self._queue.get(timeout=0.05))
            except queue.Empty:
                if self._closing.is_set():
                    break
        return batch
