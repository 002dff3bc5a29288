import asyncio
import gc
import math
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.core.decision import Decision, Neighbour, Signals
from shoal.core.errors import RunError, StorageError
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import CallRow, CostTerm, RunRow, StepRow, new_id


def call(run_id: str | None = None) -> CallRow:
    return CallRow(
        id=new_id(),
        engine="ollama",
        model="gemma3:1b",
        status="ok",
        started_at=1.0,
        latency_s=0.5,
        run_id=run_id,
    )


async def test_a_run_with_steps_and_calls_reads_back_as_written(
    ledger: Ledger, run: RunRow, step: StepRow
) -> None:
    ended = replace(
        step,
        decision=Decision(
            agent="order-reader",
            confidence=0.8,
            calibrated=False,
            best="order-reader",
            margin=0.3,
            threshold=0.5,
            scores={"order-reader": 0.8, "handbook": 0.1},
            nearest=(Neighbour(text="my order?", agent="order-reader", similarity=0.9),),
        ),
        signals=Signals(label_probability=0.75, min_value_logprob=-math.inf, checks_failed=("total",)),
        action="escalate",
        reason="one check failed",
        confidence=0.4,
        calibrated=True,
        threshold=0.6,
        certificate="c-1",
        escalated=True,
        ended_at=step.started_at + 2,
        latency_s=2.0,
        output='{"order_id": "7"}',
    )
    told = replace(
        call(run.id),
        step_id=step.id,
        agent="order-reader",
        input_tokens=12,
        cached_tokens=0,
        cost_usd=0.25,
        cost_method="provider",
        cost_terms=(CostTerm(name="input", amount_usd=0.25, formula="12 x ..."),),
        remote=True,
    )
    await ledger.end_step(ended)
    await ledger.add_call(told)
    await ledger.end_run(run.id, "done", answer="on its way")

    record = ledger.run(run.id)

    assert record.steps == (ended,)
    assert record.calls == (told,)
    assert record.run.status == "done"
    assert record.run.answer == "on its way"
    assert record.run.ended_at is not None


async def test_unknown_stays_unknown_and_zero_stays_zero(ledger: Ledger) -> None:
    run = RunRow(id="r", team="t", input="", started_at=0.0)
    await ledger.begin_run(run)
    await ledger.add_call(replace(call("r"), output_tokens=0, queue_s=0.0))

    (row,) = ledger.run("r").calls

    assert row.input_tokens is None
    assert row.output_tokens == 0
    assert row.cost_usd is None
    assert row.queue_s == 0.0


async def test_text_that_is_not_utf8_is_kept_readable(ledger: Ledger, run: RunRow) -> None:
    half_a_pair = "caf\u00e9 \ud83d\0!"

    await ledger.end_run(run.id, "done", answer=half_a_pair)

    assert ledger.run(run.id).run.answer == "café \\ud83d\0!"


async def test_an_error_is_kept_with_its_class(ledger: Ledger, run: RunRow) -> None:
    await ledger.mark_run(run.id, "running")
    assert ledger.run(run.id).run.status == "running"

    await ledger.end_run(run.id, "failed", error=RunError("over budget", mend="raise it"))

    row = ledger.run(run.id).run
    assert (row.status, row.error_class) == ("failed", "RunError")
    assert row.error == "over budget\n  mend: raise it"


async def test_what_refers_to_nothing_is_refused(ledger: Ledger, run: RunRow) -> None:
    with pytest.raises(StorageError, match="FOREIGN KEY"):
        await ledger.add_call(call("nobody"))
    with pytest.raises(StorageError, match="UNIQUE"):
        await ledger.begin_run(run)
    with pytest.raises(RunError, match="no run nobody"):
        await ledger.end_run("nobody", "done")
    with pytest.raises(RunError, match="no run nobody"):
        await ledger.mark_run("nobody", "running")
    with pytest.raises(RunError, match="no step nothing"):
        await ledger.end_step(StepRow(id="nothing", run_id=run.id, node="agent", started_at=0.0))


async def test_a_refused_row_does_not_take_others_with_it(ledger: Ledger, run: RunRow) -> None:
    """All of them are in one commit, because nothing yields to the writer between them."""
    good = [call(run.id) for _ in range(20)]
    bad = [call("nobody") for _ in range(20)]

    outcomes = await asyncio.gather(
        *(ledger.add_call(row) for pair in zip(good, bad, strict=True) for row in pair),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), StorageError] * 20
    assert {row.id for row in ledger.run(run.id).calls} == {row.id for row in good}


async def test_a_thousand_runs_at_once(ledger: Ledger) -> None:
    async def work(number: int) -> None:
        run = RunRow(id=f"{number:04}", team="t", input="", started_at=float(number))
        await ledger.begin_run(run)
        step = StepRow(id=f"s{number}", run_id=run.id, node="agent", agent="a", started_at=1.0)
        await ledger.begin_step(step)
        await ledger.add_call(replace(call(run.id), step_id=step.id, agent="a", output_tokens=number))
        await ledger.end_step(replace(step, ended_at=2.0, latency_s=1.0))
        await ledger.end_run(run.id, "done", answer=str(number))

    await asyncio.gather(*(work(number) for number in range(1000)))

    rows = ledger.runs(limit=2000)
    assert [row.answer for row in rows] == [str(number) for number in reversed(range(1000))]
    totals = ledger.totals().overall
    assert (totals.calls, totals.steps, totals.output_tokens) == (1000, 1000, 999 * 1000 // 2)


async def test_more_writers_than_the_queue_has_places(ledger: Ledger, run: RunRow) -> None:
    rows = [call(run.id) for _ in range(10_000)]

    await asyncio.gather(*(ledger.add_call(row) for row in rows))

    assert len(ledger.run(run.id).calls) == len(rows)


async def test_a_write_whose_wait_was_cancelled_is_written(ledger: Ledger, run: RunRow) -> None:
    row = call(run.id)
    task = asyncio.create_task(ledger.add_call(row))
    await asyncio.sleep(0)  # lets it ask
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    await ledger.end_run(run.id, "interrupted")  # comes after it in the queue

    assert [one.id for one in ledger.run(run.id).calls] == [row.id]


async def test_two_event_loops_share_one_ledger(ledger: Ledger, run: RunRow) -> None:
    def other_loop() -> None:
        asyncio.run(ledger.add_call(call(run.id)))

    thread = threading.Thread(target=other_loop)
    thread.start()
    await ledger.add_call(call(run.id))
    await asyncio.to_thread(thread.join)

    assert len(ledger.run(run.id).calls) == 2


async def test_a_closed_ledger_says_so_and_can_still_be_read(path: Path) -> None:
    ledger = Ledger.open(path)
    await ledger.begin_run(RunRow(id="r", team="t", input="", started_at=time.time()))
    await ledger.aclose()
    await ledger.aclose()

    with pytest.raises(StorageError, match="is closed"):
        await ledger.end_run("r", "done")
    assert ledger.run("r").run.status == "accepted"
    assert not path.with_name("ledger.db-wal").exists()


async def test_closing_writes_what_was_asked_for(path: Path) -> None:
    ledger = Ledger.open(path)
    await ledger.begin_run(RunRow(id="r", team="t", input="", started_at=time.time()))
    writes = [asyncio.create_task(ledger.add_call(call("r"))) for _ in range(2000)]
    await asyncio.sleep(0)

    await ledger.aclose()
    await asyncio.gather(*writes)

    assert len(ledger.run("r").calls) == 2000


async def test_the_file_is_for_its_owner_only(ledger: Ledger, path: Path, run: RunRow) -> None:
    for file in (path, path.with_name("ledger.db-wal")):
        assert file.stat().st_mode & 0o077 == 0


async def test_the_file_is_plain_sqlite(ledger: Ledger, path: Path, run: RunRow) -> None:
    """So that people can query it with tools of their own."""
    db = sqlite3.connect(path)
    assert db.execute("SELECT team, status FROM runs").fetchall() == [("desk", "accepted")]
    db.close()


async def test_a_ledger_that_is_forgotten_leaves_no_thread(path: Path) -> None:
    before = set(threading.enumerate())
    ledger = Ledger.open(path)
    await ledger.begin_run(RunRow(id="r", team="t", input="", started_at=0.0))
    (thread,) = set(threading.enumerate()) - before
    del ledger
    gc.collect()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
