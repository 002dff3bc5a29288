"""What the large model may still take: limits against what the ledger counted. Pure."""

from collections.abc import Mapping

from shoal.router.escalation.settings import SCOPES, UNITS, Budget
from shoal.tracing.spending import Refusal, Spending, SpendingScope

__all__ = ["check_budget"]

METERED = tuple(unit for unit in UNITS if unit not in ("calls", "share"))
"""What is known after a call only, so that calls in flight count as the most they can take."""


def check_budget(budget: Budget, spent: Mapping[SpendingScope, Spending]) -> Refusal | None:
    """Why the next call may not be made; None = it may.

    However many are asked for at once, no limit is exceeded by more than the one call that crosses it.
    """
    for scope in SCOPES:
        refusal = _check(budget, scope, spent[scope])
        if refusal is not None:
            return refusal
    return None


def _check(budget: Budget, scope: SpendingScope, spent: Spending) -> Refusal | None:
    limit = budget.limit("calls", scope)
    if limit is not None and spent.calls >= limit:
        return Refusal(reason=f"the budget of {limit:g} calls a {_named(scope)} is used up")
    limit = budget.limit("share", scope)
    if limit is not None and spent.escalated >= limit * spent.answers:
        return Refusal(reason=f"only {limit:.0%} of a {_named(scope)}'s answers may be escalated")
    for unit in METERED:
        limit = budget.limit(unit, scope)
        if limit is None:
            continue
        used = float(getattr(spent, unit))
        if used >= limit:
            return Refusal(reason=f"the budget of {_amount(limit, unit)} a {_named(scope)} is used up")
        if spent.flying and used + float(getattr(spent, f"flying_{unit}")) >= limit:
            reason = f"calls in flight may use up the budget of {_amount(limit, unit)} a {_named(scope)}"
            return Refusal(reason=reason, final=False)
    return None


def _named(scope: str) -> str:
    return "day and agent" if scope == "agent" else scope


def _amount(limit: float, unit: str) -> str:
    return f"${limit:g}" if unit == "usd" else f"{limit:g} {unit}"
