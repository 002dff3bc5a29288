"""The large model under a budget: a call is granted in the ledger before it is made, and settled after it.

Not a limit on speed: a call waits only while another one in flight may use up what is left.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.errors import ConfigError, OverBudget
from shoal.core.port import ChatModel, ModelInfo
from shoal.router.escalation.budget import METERED, check_budget
from shoal.router.escalation.settings import SCOPES, Budget
from shoal.tracing.forecast import Forecast, Most
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import EscalationRow, new_id
from shoal.tracing.scope import Scope, current_scope
from shoal.tracing.spending import Refusal, Spending, SpendingScope

__all__ = ["RAISE", "Meter", "MeteredModel", "check_countable"]

RAISE = "raise the limit: [escalation.budget] in shoal.toml"
"""What mends a refusal."""
POLL_S = 0.05
SPARE, MOST_SPARE_S = 0.1, 1.0
"""Of the time that is left, and at most: kept for saying that a call was not made. Whoever waits for it would
otherwise give up first, and could not tell that the model was never asked."""
GRACE_S = 5.0
"""A call that is given up may take this much longer to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Counts the calls of the large model for one answer."""

    ledger: Ledger
    budget: Budget
    forecast: Forecast
    seconds: float
    """After which a call is given up."""
    benefit: float | None = None
    """How much likelier the large model's answer is right."""

    async def grant(self, request: ChatRequest, scope: Scope) -> str | None:
        """Id of a granted call, waiting for others in flight; None outside a run.

        It waits until shortly before the deadline of the scope, and at most `seconds`.

        Raises:
            OverBudget: it may not be made, or those in flight took too long.
            StorageError: the ledger cannot be written.
        """
        if scope.run_id is None or scope.agent is None:
            return None
        most = self.forecast.most(request, seconds=self.seconds)
        give_up_at = _give_up_at(scope, self.seconds)
        while True:
            row = self._row(scope, scope.run_id, scope.agent, most)
            is_last = time.monotonic() >= give_up_at
            refusal = await self.ledger.reserve_escalation(row, partial(self._check, is_last=is_last))
            if refusal is None:
                return row.id
            if refusal.final:
                raise OverBudget(refusal.reason, mend=RAISE)
            await asyncio.sleep(min(POLL_S, max(0.0, give_up_at - time.monotonic())))

    async def refusal(self, run_id: str, agent: str) -> Refusal | None:
        """Why a call would be refused if it were asked for now; None = it would be granted, perhaps later.

        Raises:
            StorageError: the ledger cannot be read.
        """
        spent = await asyncio.to_thread(self.ledger.spending, run_id=run_id, agent=agent)
        found = check_budget(self.budget, spent)
        return found if found is not None and found.final else None

    async def refuse(self, run_id: str, agent: str, refusal: Refusal) -> None:
        """Record an escalation that the budget did not allow: it is part of what the budget cost.

        Raises:
            StorageError: the ledger cannot be written.
        """
        row = self._row(Scope(), run_id, agent, Most(usd=None, seconds=self.seconds, joules=None))
        await self.ledger.reserve_escalation(row, lambda _: refusal)

    def _check(self, spent: Mapping[SpendingScope, Spending], *, is_last: bool) -> Refusal | None:
        refusal = check_budget(self.budget, spent)
        return replace(refusal, final=True) if refusal is not None and is_last else refusal

    def _row(self, scope: Scope, run_id: str, agent: str, most: Most) -> EscalationRow:
        now = time.time()
        return EscalationRow(
            id=new_id(),
            run_id=run_id,
            step_id=scope.step_id,
            agent=agent,
            model=self.forecast.model,
            asked_at=now,
            expires_at=now + self.seconds + GRACE_S,
            benefit=self.benefit,
            most_usd=most.usd,
            most_seconds=most.seconds,
            most_joules=most.joules,
        )


@final
class MeteredModel:
    """Wraps the large model. Stands above retry: a call is one question, with all its tries."""

    def __init__(self, inner: ChatModel, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask, if the budget allows it.

        Raises:
            OverBudget: it does not.
            StorageError: the ledger cannot be written.
            ShoalError: whatever the wrapped model raises.
        """
        # Here and not in the generator, which runs later and perhaps in another context.
        return self._metered(request, current_scope.get(), self._inner.stream(request))

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        """Close the wrapped model; the ledger stays open."""
        await self._inner.aclose()

    async def _metered(
        self, request: ChatRequest, scope: Scope, events: AsyncGenerator[ChatEvent]
    ) -> AsyncGenerator[ChatEvent]:
        async with aclosing(events):
            granted = await self._meter.grant(request, scope)
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()  # so that its row is in the ledger before it is settled
                if granted is not None:
                    await asyncio.shield(self._meter.ledger.settle_escalation(granted))


def _give_up_at(scope: Scope, seconds: float) -> float:
    """On the monotonic clock."""
    now = time.monotonic()
    left = seconds if scope.deadline is None else min(seconds, scope.deadline - now)
    return now + left - min(MOST_SPARE_S, SPARE * left)


def check_countable(budget: Budget, forecast: Forecast) -> None:
    """Refuse a limit that nothing can be counted against.

    Raises:
        ConfigError: a limit in USD or joules, for a model whose price or energy nobody knows.
    """
    # Any request and time would do: what is unknown of one is unknown of all.
    most = forecast.most(ChatRequest(messages=()), seconds=1.0)
    for unit in METERED:
        if getattr(most, unit) is not None or all(budget.limit(unit, scope) is None for scope in SCOPES):
            continue
        if unit == "usd":
            why, mend = (
                "nobody knows what it costs",
                f'[prices."{forecast.model}"] input_usd = ..., output_usd = ...',
            )
        else:
            why, mend = "it works on another machine, where nobody measures", "a limit in usd or seconds"
        raise ConfigError(
            f"the budget in {unit} cannot be kept with {forecast.model}",
            why=f"{why}, and what is unknown is not 0",
            mend=mend,
        )
