"""What the large model was granted and took, counted for one run, one agent's day, and the whole day.

Reserving is one transaction: what others reserved, in this process or another, is counted before the next
call is granted. What a call took is read from its own rows. A call whose process died counts, once its time
is over, as the most it could have taken.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["SETTLE", "Refusal", "Spending", "SpendingScope", "read_spending"]

SpendingScope = Literal["run", "agent", "day"]
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    reason: str
    """Half a sentence for a person."""
    final: bool = True
    """False: another call is in flight that may leave nothing over; ask again when one has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """In one scope, so far."""

    answers: int = 0
    """Judged, escalated or not."""
    escalated: int = 0
    """Of these, those the large model was asked for, without the one that asks now."""
    calls: int = 0
    """Granted; a repair of the large model's answer is a call of its own."""
    usd: float = 0.0
    """Of the calls that have ended; where it is unknown, the most they could take."""
    seconds: float = 0.0
    joules: float = 0.0
    flying: int = 0
    """Of the calls, those that have not ended."""
    flying_usd: float = 0.0
    """The most these can take."""
    flying_seconds: float = 0.0
    flying_joules: float = 0.0


_WHERE: Mapping[SpendingScope, str] = {
    "run": "run_id = :run_id",
    "agent": "agent = :agent AND {time} >= :since",
    "day": "{time} >= :since",
}
_CALLS = """SELECT count(DISTINCT CASE WHEN step_id IS NOT :step_id THEN step_id END), count(*),
    coalesce(sum(CASE WHEN NOT flies THEN coalesce(usd, most_usd) END), 0),
    coalesce(sum(CASE WHEN NOT flies THEN coalesce(seconds, most_seconds) END), 0),
    coalesce(sum(CASE WHEN NOT flies THEN coalesce(joules, most_joules) END), 0),
    coalesce(sum(flies), 0),
    coalesce(sum(CASE WHEN flies THEN most_usd END), 0),
    coalesce(sum(CASE WHEN flies THEN most_seconds END), 0),
    coalesce(sum(CASE WHEN flies THEN most_joules END), 0)
    FROM (SELECT *, settled_at IS NULL AND expires_at > :now AS flies FROM escalations
          WHERE refusal IS NULL AND {where})"""
_ANSWERS = "SELECT count(*) FROM steps WHERE NOT escalated AND agent IS NOT NULL AND action IS NOT NULL"

_UNSENT = "('EngineDown', 'ModelMissing', 'RequestRefused', 'ContextOverflow', 'Overloaded')"
"""Errors of calls that were turned away before a token was said: they cost nothing."""
_TAKEN = "FROM calls WHERE step_id = escalations.step_id AND started_at >= escalations.asked_at"
_FREE = f"status = 'error' AND first_token_s IS NULL AND error_class IN {_UNSENT}"
SETTLE = f"""UPDATE escalations SET settled_at = :now,
    usd = (SELECT CASE WHEN coalesce(sum(cost_usd IS NULL AND NOT ({_FREE})), 0) = 0
           THEN coalesce(sum(cost_usd), 0) END {_TAKEN}),
    seconds = (SELECT coalesce(sum(latency_s), 0) {_TAKEN}),
    joules = (SELECT CASE WHEN coalesce(sum(energy_j IS NULL AND NOT ({_FREE})), 0) = 0
              THEN coalesce(sum(energy_j), 0) END {_TAKEN})
    WHERE id = :id AND settled_at IS NULL"""  # noqa: S608  our own names
"""Writes what a granted call took: NULL where a part of it is unknown."""


def read_spending(
    db: sqlite3.Connection, *, run_id: str, agent: str, step_id: str | None, now: float
) -> dict[SpendingScope, Spending]:
    """Every scope that a call of this agent in this run counts in. The day is the calendar day in UTC."""
    values = {"run_id": run_id, "agent": agent, "step_id": step_id, "now": now, "since": now - now % DAY_S}
    found: dict[SpendingScope, Spending] = {}
    for scope, where in _WHERE.items():
        (answers,) = db.execute(f"{_ANSWERS} AND {where.format(time='started_at')}", values).fetchone()
        row = db.execute(_CALLS.format(where=where.format(time="asked_at")), values).fetchone()
        escalated, calls, usd, seconds, joules, flying, flying_usd, flying_seconds, flying_joules = row
        found[scope] = Spending(
            answers=answers,
            escalated=escalated,
            calls=calls,
            usd=usd,
            seconds=seconds,
            joules=joules,
            flying=flying,
            flying_usd=flying_usd,
            flying_seconds=flying_seconds,
            flying_joules=flying_joules,
        )
    return found
