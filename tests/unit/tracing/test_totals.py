from dataclasses import replace

import pytest

from shoal.core.decision import Action
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import CallRow, CallStatus, EscalationRow, RunRow, StepRow, new_id
from shoal.tracing.spending import Refusal
from shoal.tracing.totals import percentile


async def fill(ledger: Ledger, run_id: str, *, started_at: float) -> None:
    """Steps: "reader" answers one and has another answered for it, "writer" answers one. Five calls."""
    await ledger.begin_run(RunRow(id=run_id, team="t", input="", started_at=started_at))
    steps: list[tuple[str, str | None, Action | None, bool, float]] = [
        ("1", "reader", "accept", False, 1.0),
        ("2", "reader", "escalate", False, 2.0),
        ("3", "reader", "accept", True, 3.0),
        ("4", "writer", "accept", False, 2.0),
        ("5", None, None, False, 9.0),
    ]
    for name, agent, action, escalated, latency_s in steps:
        step = StepRow(
            id=run_id + name, run_id=run_id, node=agent or "route", agent=agent, started_at=started_at
        )
        await ledger.begin_step(step)
        ended_at = started_at + latency_s
        await ledger.end_step(
            replace(step, action=action, escalated=escalated, latency_s=latency_s, ended_at=ended_at)
        )
    calls: list[tuple[str | None, CallStatus, int | None, float | None, float]] = [
        ("reader", "ok", 10, 0.5, 0.5),
        ("reader", "ok", 20, None, 1.0),
        ("reader", "error", None, None, 0.1),
        ("writer", "ok", 5, 0.0, 2.0),
        (None, "cancelled", None, None, 0.2),
    ]
    for agent, status, tokens, cost, latency_s in calls:
        await ledger.add_call(
            CallRow(
                id=new_id(),
                engine="e",
                model="m",
                status=status,
                started_at=started_at,
                latency_s=latency_s,
                run_id=run_id,
                agent=agent,
                output_tokens=tokens,
                cost_usd=cost,
            )
        )


async def test_sums_by_agent(ledger: Ledger) -> None:
    await fill(ledger, "a", started_at=100.0)

    reader, writer, nobody = ledger.totals().agents

    assert (reader.agent, writer.agent, nobody.agent) == ("reader", "writer", None)
    assert (reader.steps, reader.answered, reader.escalated, reader.share_local) == (3, 2, 1, 0.5)
    assert (reader.calls, reader.failed_calls, reader.output_tokens) == (3, 1, 30)
    assert (reader.cost_usd, reader.unpriced_calls) == (0.5, 2)
    assert (reader.call_p50_s, reader.call_p95_s) == (0.5, 1.0)
    assert (reader.step_p50_s, reader.step_p95_s) == (2.0, 3.0)
    assert (writer.cost_usd, writer.unpriced_calls, writer.share_local) == (0.0, 0, 1.0)
    assert (nobody.calls, nobody.failed_calls, nobody.cost_usd) == (1, 1, None)
    assert (nobody.steps, nobody.share_local, nobody.step_p50_s) == (0, None, None)


async def test_overall_counts_all_calls_and_the_steps_of_agents(ledger: Ledger) -> None:
    await fill(ledger, "a", started_at=100.0)

    overall = ledger.totals().overall

    assert (overall.calls, overall.failed_calls, overall.unpriced_calls) == (5, 2, 3)
    assert (overall.steps, overall.answered, overall.escalated) == (4, 3, 1)
    assert overall.share_local == pytest.approx(2 / 3)
    assert overall.step_p95_s == 3.0
    assert overall.energy_j is None


async def test_runs_and_times_can_be_chosen(ledger: Ledger) -> None:
    await fill(ledger, "a", started_at=100.0)
    await fill(ledger, "b", started_at=200.0)

    assert ledger.totals().overall.calls == 10
    assert ledger.totals(run_ids=["b"]).overall.output_tokens == 35
    assert ledger.totals(since=150.0).overall.calls == 5
    assert ledger.totals(run_ids=["a"], since=150.0).overall.calls == 0
    assert ledger.totals(run_ids=[]).agents == ()


async def wish(
    ledger: Ledger, run_id: str, step: str | None, *, benefit: float | None, granted: bool = False
) -> None:
    row = EscalationRow(
        id=new_id(),
        run_id=run_id,
        step_id=None if step is None else run_id + step,
        agent="reader" if step != "4" else "writer",
        model="e:large",
        asked_at=100.0 if run_id == "a" else 200.0,
        expires_at=300.0,
        benefit=benefit,
    )
    await ledger.reserve_escalation(row, lambda _: None if granted else Refusal(reason="used up"))


async def test_what_a_budget_cost_is_summed_by_agent_run_and_time(ledger: Ledger) -> None:
    for run in ("a", "b"):
        await fill(ledger, run, started_at=100.0 if run == "a" else 200.0)
    await wish(ledger, "a", "1", benefit=0.5)
    await wish(ledger, "a", None, benefit=0.25)
    await wish(ledger, "a", "2", benefit=0.5, granted=True)
    await wish(ledger, "a", "2", benefit=0.5)  # a repair of the large model's own answer
    await wish(ledger, "b", "4", benefit=None)

    totals = ledger.totals()
    reader, writer, nobody = totals.agents

    assert (totals.overall.refused, totals.overall.benefit_forgone) == (3, 0.75)
    assert (reader.refused, reader.benefit_forgone) == (2, 0.75)
    assert (writer.refused, writer.benefit_forgone) == (1, None), "what is unknown is not 0"
    assert (nobody.refused, nobody.benefit_forgone) == (0, None)
    later = ledger.totals(since=150.0).overall
    assert (later.refused, later.benefit_forgone) == (1, None)
    assert ledger.totals(run_ids=["a"]).overall.refused == len(ledger.run("a").refused) == 2


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1.0, 2.0], 0.5, 1.0), (list(range(1, 101)), 0.95, 95)],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected
