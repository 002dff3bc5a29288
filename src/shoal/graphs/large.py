"""The large model as a team's graph sees it: what it takes to ask it."""

from dataclasses import dataclass, replace
from typing import Any, final

from shoal.agents import Agent, Judge, Runtime
from shoal.core.passage import Passage
from shoal.core.port import ChatModel, Retriever
from shoal.router.escalation import Budget
from shoal.router.escalation.metered_model import Meter, MeteredModel
from shoal.specialists import Specialist
from shoal.tracing.forecast import Forecast
from shoal.tracing.ledger import Ledger
from shoal.tracing.spans import Spans

__all__ = ["Large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    model: str | ChatModel
    judge: Judge
    """Of its answers."""
    budget: Budget
    forecast: Forecast
    asks_consent: bool
    """A person must agree before a text goes to it."""

    @property
    def name(self) -> str:
        """`engine:model`."""
        return self.forecast.model

    def agent(self, agent: Agent[Any], passages: tuple[Passage, ...]) -> Agent[Any]:
        """The agent as this model is asked: its prompt and not its specialist's.

        What was looked up is not looked up again; where a person must agree nothing is, for what is sent is
        what was shown.
        """
        asked = agent.asking(self.model)
        return replace(asked, knowledge=None) if passages or self.asks_consent else asked

    def meter(self, ledger: Ledger, *, seconds: float, benefit: float | None) -> Meter:
        """Counts the calls for one answer."""
        return Meter(
            ledger=ledger, budget=self.budget, forecast=self.forecast, seconds=seconds, benefit=benefit
        )

    def metered(self, runtime: Runtime, *, seconds: float, benefit: float | None) -> Runtime:
        """The same runtime, whose models are asked only as far as the budget reaches: for one answer."""
        return _MeteredRuntime(runtime, self.meter(runtime.ledger, seconds=seconds, benefit=benefit))


@final
class _MeteredRuntime:
    def __init__(self, inner: Runtime, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    @property
    def ledger(self) -> Ledger:
        return self._inner.ledger

    @property
    def spans(self) -> Spans:
        return self._inner.spans

    async def model(self, model: str | ChatModel, specialist: Specialist | None = None) -> ChatModel:
        return MeteredModel(await self._inner.model(model, specialist), self._meter)

    async def retriever(self, knowledge: str) -> Retriever:
        return await self._inner.retriever(knowledge)
