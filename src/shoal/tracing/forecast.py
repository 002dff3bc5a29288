"""What a call of one model may cost, before it is made.

Two numbers with two uses: the most it can take, which a budget reserves, and what it is expected to cost,
which a person compares. None = unknown.
"""

from dataclasses import dataclass

from shoal.core.chat import ChatRequest
from shoal.core.usage import Usage
from shoal.tracing.cost import CostModel
from shoal.tracing.energy import Energy

__all__ = ["Forecast", "Most"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    usd: float | None
    seconds: float
    joules: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """For calls of one model."""

    model: str
    """`engine:model`."""
    remote: bool
    costs: CostModel
    watts: float | None
    """What this machine draws at most while it works on a call; None = nobody measures it."""

    def most(self, request: ChatRequest, *, seconds: float) -> Most:
        """The most a call can take that is given up after so many seconds.

        A token of input is at least one byte, so there are at most as many as bytes.
        """
        size = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        usage = Usage(input_tokens=size, output_tokens=request.max_tokens, cached_tokens=0)
        energy = self._energy(seconds)
        cost = self.costs.cost(usage, model=self.model, remote=self.remote, energy=energy)
        return Most(usd=cost.amount_usd, seconds=seconds, joules=energy.joules if energy else None)

    def expected_usd(self, usage: Usage) -> float | None:
        """The price of the same tokens; None also for a model on this machine, whose time nobody knows."""
        cost = self.costs.cost(usage, model=self.model, remote=True, energy=None) if self.remote else None
        return cost.amount_usd if cost else None

    def _energy(self, seconds: float) -> Energy | None:
        if self.remote or self.watts is None:
            return None
        formula = f"{self.watts:g} W x {seconds:g} s"
        joules = self.watts * seconds
        return Energy(joules=joules, method="estimate", busy_s=seconds, share=1.0, formula=formula)
