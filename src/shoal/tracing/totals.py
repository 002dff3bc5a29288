"""What the agents did and cost, added up from the ledger."""

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AgentTotals", "Totals", "percentile", "read_totals"]

Value = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTotals:
    """What one agent did, or all. Sums are over what is known; None = nothing of it is known."""

    agent: str | None
    """None: calls outside any agent; in `Totals.overall`: everything."""
    steps: int
    """Finished steps. A subtask that was escalated has two: the agent's and the larger model's."""
    answered: int
    """Of these, those whose answer was accepted."""
    escalated: int
    """Of the answered ones, those a larger model answered."""
    calls: int
    failed_calls: int
    """Of these, ended by an error or cancelled."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    unpriced_calls: int
    """Calls whose cost is unknown: `cost_usd` lacks them."""
    energy_j: float | None
    call_p50_s: float | None
    call_p95_s: float | None
    step_p50_s: float | None
    """Latency of a step: look-up, calls, repairs and retries together."""
    step_p95_s: float | None
    refused: int
    """Answers that would have been escalated but for the budget."""
    benefit_forgone: float | None
    """Answers that these would have made right, as far as calibration can tell."""

    @property
    def share_local(self) -> float | None:
        """Share of the answers that no larger model gave, in [0, 1]; None when there are none."""
        return None if self.answered == 0 else 1 - self.escalated / self.answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    overall: AgentTotals
    """All calls, and the steps of agents; no other nodes, so that `share_local` speaks of answers."""
    agents: tuple[AgentTotals, ...]
    """By name; calls outside any agent last."""


_CALL_SUMS = """count(*), sum(status != 'ok'), sum(input_tokens), sum(output_tokens),
    sum(cost_usd), sum(cost_usd IS NULL), sum(energy_j)"""
_STEP_SUMS = "count(*), sum(action IS 'accept'), sum(action IS 'accept' AND escalated)"
_REFUSED = """FROM (SELECT *, asked_at AS started_at FROM escalations) WHERE refusal IS NOT NULL
    AND (step_id IS NULL OR step_id NOT IN
         (SELECT step_id FROM escalations WHERE refusal IS NULL AND step_id IS NOT NULL))"""
"""See `RunRecord.refused`."""
_FINISHED = "ended_at IS NOT NULL AND agent IS NOT NULL"


def read_totals(
    db: sqlite3.Connection, *, run_ids: Sequence[str] | None = None, since: float | None = None
) -> Totals:
    """Add up the calls and steps of these runs, or those that started since (epoch seconds), or all."""
    # Only conditions that are wanted, so that the indexes can serve them.
    conditions, values = ["TRUE"], dict[str, Value]()
    if run_ids is not None:
        conditions.append("run_id IN (SELECT value FROM json_each(:run_ids))")
        values["run_ids"] = json.dumps(list(run_ids))
    if since is not None:
        conditions.append("started_at >= :since")
        values["since"] = since
    chosen = " AND ".join(conditions)
    steps = f"FROM steps WHERE {chosen} AND {_FINISHED}"
    calls = f"FROM calls WHERE {chosen}"
    refused = f"{_REFUSED} AND {chosen}"
    names = db.execute(f"SELECT agent {steps} UNION SELECT agent {calls}", values)
    agents = sorted((name for (name,) in names), key=lambda name: (name is None, name))
    return Totals(
        overall=_add_up(db, None, (steps, calls, refused), values),
        agents=tuple(
            _add_up(
                db,
                agent,
                tuple(f"{source} AND agent IS :agent" for source in (steps, calls, refused)),
                {**values, "agent": agent},
            )
            for agent in agents
        ),
    )


def percentile(in_order: Sequence[float], share: float) -> float | None:
    """The smallest of the values, given in rising order, that at least `share` of them do not exceed."""
    return in_order[max(0, math.ceil(share * len(in_order)) - 1)] if in_order else None


def _add_up(
    db: sqlite3.Connection, agent: str | None, sources: Sequence[str], values: dict[str, Value]
) -> AgentTotals:
    steps, calls, refused = sources
    finished, answered, escalated = db.execute(f"SELECT {_STEP_SUMS} {steps}", values).fetchone()
    called, failed, tokens_in, tokens_out, cost, unpriced, energy = db.execute(
        f"SELECT {_CALL_SUMS} {calls}", values
    ).fetchone()
    wished, forgone = db.execute(f"SELECT count(*), sum(benefit) {refused}", values).fetchone()
    step_s = [
        row[0]
        for row in db.execute(
            f"SELECT latency_s {steps} AND latency_s IS NOT NULL ORDER BY latency_s", values
        )
    ]
    call_s = [row[0] for row in db.execute(f"SELECT latency_s {calls} ORDER BY latency_s", values)]
    return AgentTotals(
        agent=agent,
        steps=finished,
        answered=answered or 0,
        escalated=escalated or 0,
        calls=called,
        failed_calls=failed or 0,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost_usd=cost,
        unpriced_calls=unpriced or 0,
        energy_j=energy,
        call_p50_s=percentile(call_s, 0.5),
        call_p95_s=percentile(call_s, 0.95),
        step_p50_s=percentile(step_s, 0.5),
        step_p95_s=percentile(step_s, 0.95),
        refused=wished,
        benefit_forgone=forgone,
    )
