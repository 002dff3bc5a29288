from dataclasses import replace

from shoal.tracing.record import CallRow, RunRecord, RunRow, StepRow
from shoal.tracing.timeline import Segment, TimelineRow, build_timeline

RUN = RunRow(id="r", team="desk", input="", status="done", started_at=100.0, ended_at=110.0)
STEP = StepRow(
    id="s1",
    run_id="r",
    node="agent",
    agent="reader",
    started_at=101.0,
    ended_at=105.0,
    latency_s=4.0,
    action="accept",
)
CALL = CallRow(
    id="c1",
    engine="ollama",
    model="gemma3:1b",
    status="ok",
    started_at=101.5,
    latency_s=3.0,
    step_id="s1",
    queue_s=0.5,
    load_s=0.0,
    prefill_s=1.0,
    decode_s=1.25,
)


def record(steps: tuple[StepRow, ...], calls: tuple[CallRow, ...]) -> RunRecord:
    return RunRecord(run=RUN, steps=steps, calls=calls)


def test_rows_are_in_reading_order() -> None:
    route = replace(STEP, id="s0", node="route", agent=None, action=None, started_at=100.5, latency_s=0.1)
    repair = replace(CALL, id="c2", purpose="repair", started_at=104.6)
    outside = replace(CALL, id="c0", step_id=None, purpose="split", started_at=100.1)

    rows = build_timeline(record((STEP, route), (CALL, repair, outside)))

    assert [(row.kind, row.id, row.name, row.depth) for row in rows] == [
        ("run", "r", "desk", 0),
        ("call", "c0", "split ollama:gemma3:1b", 1),
        ("step", "s0", "route", 1),
        ("step", "s1", "reader", 1),
        ("call", "c1", "answer ollama:gemma3:1b", 2),
        ("call", "c2", "repair ollama:gemma3:1b", 2),
    ]
    assert [round(row.start_s, 3) for row in rows] == [0.0, 0.1, 0.5, 1.0, 1.5, 4.6]
    assert [row.status for row in rows[:4]] == ["done", "ok", "", "accept"]


def test_the_parts_of_a_call_add_up_to_it() -> None:
    row = build_timeline(record((STEP,), (CALL,)))[-1]

    assert row.segments == (
        Segment(kind="queue", seconds=0.5),
        Segment(kind="prefill", seconds=1.0),
        Segment(kind="decode", seconds=1.25),
        Segment(kind="other", seconds=0.25),
    )


def test_parts_longer_than_the_call_are_scaled_to_it() -> None:
    slow_clock = replace(CALL, queue_s=None, prefill_s=2.0, decode_s=4.0)

    row = build_timeline(record((STEP,), (slow_clock,)))[-1]

    assert row.segments == (Segment(kind="prefill", seconds=1.0), Segment(kind="decode", seconds=2.0))


def test_a_call_of_which_nothing_is_known_is_all_other() -> None:
    silent = replace(CALL, queue_s=None, load_s=None, prefill_s=None, decode_s=None, status="error")

    row = build_timeline(record((STEP,), (silent,)))[-1]

    assert row.segments == (Segment(kind="other", seconds=3.0),)
    assert row.status == "error"


def test_what_has_not_ended_has_no_length() -> None:
    unended = RunRecord(
        run=replace(RUN, status="running", ended_at=None),
        steps=(replace(STEP, ended_at=None, latency_s=None, action=None, error_class="EngineDown"),),
        calls=(),
    )

    run, step = build_timeline(unended)

    assert (run.seconds, run.status) == (None, "running")
    assert step == TimelineRow(
        kind="step", id="s1", name="reader", depth=1, start_s=1.0, seconds=None, status="failed"
    )
