"""What was asked: every piece of work once, who took it on, and what asking the large model for it took."""

import sqlite3
from dataclasses import dataclass

__all__ = ["Asked", "read_requests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One subtask of one run."""

    text: str
    agent: str | None
    """None: no agent's job fitted."""
    accepted: bool
    """It was answered, by the agent or by the large model."""
    large_calls: int
    large_usd: float | None
    """Of these calls, as far as it is known; None = nothing of it is."""


_PERSON = "('consent', 'correction')"
"""Nodes that stand for what a person decided."""
_QUERY = f"""SELECT steps.input, max(steps.agent), max(steps.action IS 'accept'), count(calls.id),
        CASE WHEN count(calls.id) = 0 THEN 0.0 ELSE sum(calls.cost_usd) END
    FROM steps LEFT JOIN calls ON calls.step_id = steps.id AND steps.escalated
    WHERE steps.subtask_id IS NOT NULL AND steps.node NOT IN {_PERSON}
        AND steps.started_at >= coalesce(:since, steps.started_at)
        AND steps.run_id NOT IN (SELECT id FROM runs WHERE team = :but)
    GROUP BY steps.run_id, steps.subtask_id ORDER BY min(steps.started_at), min(steps.rowid)"""  # noqa: S608


def read_requests(db: sqlite3.Connection, *, since: float | None, but: str) -> tuple[Asked, ...]:
    """In order of time, since some moment (epoch seconds) or all; without the runs of the team `but`."""
    return tuple(
        Asked(text=text, agent=agent, accepted=bool(accepted), large_calls=calls, large_usd=usd)
        for text, agent, accepted, calls, usd in db.execute(_QUERY, {"since": since, "but": but})
    )
