"""A run laid out in time: one row for the run, each step and each call, for a waterfall to be drawn from.

Only what the ledger says. Drawing is the caller's.
"""

from dataclasses import dataclass, field
from typing import Literal

from shoal.tracing.record import CallRow, RunRecord, StepRow

__all__ = ["Segment", "TimelineRow", "build_timeline"]

SegmentKind = Literal["queue", "load", "prefill", "decode", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a call. "other" is what no part of the call accounts for: network, overhead."""

    kind: SegmentKind
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One bar."""

    kind: Literal["run", "step", "call"]
    id: str
    name: str
    """Team, agent or node, or purpose and model."""
    depth: int
    """0 for the run, 1 for steps and calls outside steps, 2 for calls of a step."""
    start_s: float
    """Since the run started."""
    seconds: float | None
    """None = has not ended, as far as the ledger knows."""
    segments: tuple[Segment, ...] = field(default=())
    """In order of time, summing up to `seconds`; calls only."""
    status: str = ""


def build_timeline(record: RunRecord) -> tuple[TimelineRow, ...]:
    """Rows in the order they are read: each step by its start, its calls under it by theirs."""
    run = record.run
    rows = [
        TimelineRow(
            kind="run",
            id=run.id,
            name=run.team,
            depth=0,
            start_s=0.0,
            seconds=None if run.ended_at is None else run.ended_at - run.started_at,
            status=run.status,
        )
    ]
    branches = [
        (step.started_at, [_step_row(step, run.started_at), *_calls_of(step, record)])
        for step in record.steps
    ]
    known = {step.id for step in record.steps}
    branches += [
        (call.started_at, [_call_row(call, run.started_at, depth=1)])
        for call in record.calls
        if call.step_id not in known
    ]
    for _, branch in sorted(branches, key=lambda branch: branch[0]):
        rows += branch
    return tuple(rows)


def _calls_of(step: StepRow, record: RunRecord) -> list[TimelineRow]:
    return [
        _call_row(call, record.run.started_at, depth=2) for call in record.calls if call.step_id == step.id
    ]


def _step_row(step: StepRow, began_at: float) -> TimelineRow:
    return TimelineRow(
        kind="step",
        id=step.id,
        name=step.agent or step.node,
        depth=1,
        start_s=step.started_at - began_at,
        seconds=step.latency_s,
        status=step.action or ("failed" if step.error_class else ""),
    )


def _call_row(call: CallRow, began_at: float, *, depth: int) -> TimelineRow:
    return TimelineRow(
        kind="call",
        id=call.id,
        name=f"{call.purpose} {call.model_name}",
        depth=depth,
        start_s=call.started_at - began_at,
        seconds=call.latency_s,
        segments=_segments(call),
        status=call.status,
    )


def _segments(call: CallRow) -> tuple[Segment, ...]:
    """Engines' clocks and ours differ a little: parts that exceed the whole are scaled down to it."""
    parts: list[tuple[SegmentKind, float | None]] = [
        ("queue", call.queue_s),
        ("load", call.load_s),
        ("prefill", call.prefill_s),
        ("decode", call.decode_s),
    ]
    total = sum(seconds or 0.0 for _, seconds in parts)
    scale = min(1.0, call.latency_s / total) if total else 1.0
    segments = [Segment(kind=kind, seconds=seconds * scale) for kind, seconds in parts if seconds]
    rest = call.latency_s - total * scale
    if rest > 0:
        segments.append(Segment(kind="other", seconds=rest))
    return tuple(segments)
