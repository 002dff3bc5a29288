"""Counting what the large model takes against what it may take.

Pure bookkeeping: totals come from the ledger, nothing is read from disk or clock here. A call is granted
before it is made and settled after it, so that parallel calls cannot spend the same money twice. However
many are asked for at once, no limit is exceeded by more than the one call that crosses it.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from shoal.router.escalation.settings import Budget

__all__ = ["Account", "Grant", "Refusal", "Spent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was judged, and what the large model took for it."""

    answers: int = 0
    """Judged, escalated or not."""
    calls: int = 0
    """Of the large model."""
    usd: float = 0.0
    seconds: float = 0.0
    joules: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            **{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)}
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grant:
    """The right to one call; give it back with `Account.settle`, also when the call failed."""

    run_id: str
    agent: str
    at_most: Spent | None
    """What the call can take at most; None = unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    reason: str
    """Half a sentence for a person."""
    final: bool
    """False: another call is in flight that may leave nothing over; ask again when one has settled."""


@dataclass(slots=True)
class Denied:
    """What the budget kept from happening."""

    calls: int = 0
    benefit: float = 0.0
    """Answers that would have become right, as far as calibration can tell."""


@dataclass
class Account:
    """One day's book of one team. Used from one event loop; not thread-safe."""

    budget: Budget
    day: dt.date
    """In UTC. Begin a new account when it is over."""
    agents: dict[str, Spent] = field(default_factory=dict[str, Spent])
    """The day so far, per agent; from the ledger when the account is opened."""
    runs: dict[str, Spent] = field(default_factory=dict[str, Spent])
    denied: dict[str, Denied] = field(default_factory=dict[str, Denied])
    """Per agent: final refusals."""
    _granted: list[Grant] = field(default_factory=list[Grant])

    def judged(self, run_id: str, agent: str) -> None:
        """Note that an answer was judged: shares are shares of these."""
        self._add(run_id, agent, Spent(answers=1))

    def ask(
        self, run_id: str, agent: str, *, at_most: Spent | None = None, benefit: float | None = None
    ) -> Grant | Refusal:
        """Ask for one call, after its answer was `judged`.

        Args:
            run_id: whose limits "per run" count.
            agent: whose limits "per agent" count.
            at_most: what the call can take at most. Without it, calls under a limit in USD, seconds or
                joules are made one after the other, because the first might use up the rest.
            benefit: how much likelier a right answer would become, in [-1, 1]; summed up when refused.
        """
        for scope, spent, flying in self._scopes(run_id, agent):
            refusal = self._check(scope, spent, flying, at_most)
            if refusal is not None:
                if refusal.final:
                    denied = self.denied.setdefault(agent, Denied())
                    denied.calls += 1
                    denied.benefit += benefit or 0.0
                return refusal
        grant = Grant(run_id=run_id, agent=agent, at_most=at_most)
        self._granted.append(grant)
        return grant

    def settle(self, grant: Grant, *, usd: float | None, seconds: float | None, joules: float | None) -> None:
        """Book what the call took. What is unknown is booked at what it could take at most, else as 0."""
        self._granted.remove(grant)
        most = grant.at_most or Spent()
        took = Spent(
            calls=1,
            usd=most.usd if usd is None else usd,
            seconds=most.seconds if seconds is None else seconds,
            joules=most.joules if joules is None else joules,
        )
        self._add(grant.run_id, grant.agent, took)

    def _add(self, run_id: str, agent: str, spent: Spent) -> None:
        self.agents[agent] = self.agents.get(agent, Spent()) + spent
        self.runs[run_id] = self.runs.get(run_id, Spent()) + spent

    def _scopes(self, run_id: str, agent: str) -> Iterable[tuple[str, Spent, list[Grant]]]:
        yield "run", self.runs.get(run_id, Spent()), [item for item in self._granted if item.run_id == run_id]
        yield (
            "agent",
            self.agents.get(agent, Spent()),
            [item for item in self._granted if item.agent == agent],
        )
        yield "day", sum(self.agents.values(), Spent()), self._granted

    def _check(self, scope: str, spent: Spent, flying: list[Grant], at_most: Spent | None) -> Refusal | None:
        calls = spent.calls + len(flying)
        limit = self.budget.limit("calls", scope)
        if limit is not None and calls >= limit:
            return Refusal(reason=f"the budget of {limit:g} calls a {_named(scope)} is used up", final=True)
        limit = self.budget.limit("share", scope)
        if limit is not None and calls >= limit * spent.answers:
            return Refusal(
                reason=f"only {limit:.0%} of a {_named(scope)}'s answers may be escalated", final=True
            )
        for unit in ("usd", "seconds", "joules"):
            limit = self.budget.limit(unit, scope)
            if limit is None:
                continue
            used = float(getattr(spent, unit))
            if used >= limit:
                return Refusal(
                    reason=f"the budget of {_amount(limit, unit)} a {_named(scope)} is used up", final=True
                )
            if flying and (at_most is None or used + _reserved(flying, unit) >= limit):
                return Refusal(reason=f"calls in flight may use up the {_amount(limit, unit)}", final=False)
        return None


def _reserved(flying: list[Grant], unit: str) -> float:
    known = [getattr(grant.at_most, unit) for grant in flying if grant.at_most is not None]
    return sum(known) if len(known) == len(flying) else float("inf")


def _named(scope: str) -> str:
    return "day and agent" if scope == "agent" else scope


def _amount(limit: float, unit: str) -> str:
    return f"${limit:g}" if unit == "usd" else f"{limit:g} {unit}"
