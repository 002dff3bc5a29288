"""What a call cost: the provider's price for a remote one, electricity and hardware for a local one.

Every amount comes with its terms, each with its arithmetic written out, so that a person can check it. What
cannot be known is None: a price nobody gave, tokens an engine did not report.

Not a price service: the table below is small, dated and grows old. Prices that matter belong in the project's
own settings, which win over these.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal.core.errors import ConfigError
from shoal.core.usage import Usage
from shoal.tracing.energy import Energy
from shoal.tracing.record import CostMethod, CostTerm

__all__ = [
    "ASSUMED_USD_PER_KWH",
    "DEFAULT_PRICES",
    "FROM_CACHE",
    "Cost",
    "CostModel",
    "Hardware",
    "Price",
    "PriceTable",
]

ASSUMED_USD_PER_KWH = 0.30
"""An assumption, near what a household in the European Union pays. Set your own tariff."""

JOULES_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float
    cached_usd: float | None = None
    """For prompt tokens read from the provider's cache; None = charged like other input."""
    source: str = "own settings"
    """Where the numbers come from, with the date."""


PriceTable = Mapping[str, Price]
"""Per `engine:model`."""

_SOURCE = "developers.openai.com/api/docs/pricing, standard tier, March 2026"

DEFAULT_PRICES: PriceTable = {
    f"openai:{model}": Price(input_usd=asked, cached_usd=cached, output_usd=answered, source=_SOURCE)
    for model, asked, cached, answered in (
        ("gpt-5", 1.25, 0.125, 10.00),
        ("gpt-5-mini", 0.25, 0.025, 2.00),
        ("gpt-5-nano", 0.05, 0.005, 0.40),
        ("gpt-4.1", 2.00, 0.50, 8.00),
        ("gpt-4.1-mini", 0.40, 0.10, 1.60),
        ("gpt-4.1-nano", 0.10, 0.025, 0.40),
        ("gpt-4o", 2.50, 1.25, 10.00),
        ("gpt-4o-mini", 0.15, 0.075, 0.60),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    amount_usd: float | None
    """None = unknown."""
    method: CostMethod
    """provider: tokens at a price. local: electricity and hardware. none: unknown."""
    terms: tuple[CostTerm, ...] = ()


UNKNOWN = Cost(amount_usd=None, method="none")
FROM_CACHE = Cost(amount_usd=0.0, method="local")
"""Of an answer that was there already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What an hour of work wears off the machine."""

    price_usd: float
    residual_usd: float = 0.0
    """What it can be sold for at the end."""
    lifetime_h: float = 4 * 365 * 24
    """Hours from buying to selling, switched off or not."""
    utilisation: float = 0.2
    """Share of the lifetime in which it works, in (0, 1]. Little used hardware makes dear answers."""

    def __post_init__(self) -> None:
        if not 0 < self.utilisation <= 1 or self.lifetime_h <= 0 or self.price_usd < self.residual_usd:
            raise ConfigError(
                "the hardware of the cost model makes no sense",
                why=str(self),
                mend="price_usd >= residual_usd, lifetime_h > 0, 0 < utilisation <= 1",
            )

    @property
    def usd_per_busy_h(self) -> float:
        return (self.price_usd - self.residual_usd) / (self.lifetime_h * self.utilisation)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    prices: PriceTable = field(default_factory=lambda: DEFAULT_PRICES)
    usd_per_kwh: float | None = ASSUMED_USD_PER_KWH
    """None = electricity is not counted."""
    hardware: Hardware | None = None
    """None = hardware is not counted: it is there anyway."""

    def cost(self, usage: Usage, *, model: str, remote: bool, energy: Energy | None) -> Cost:
        """Cost of one call to `model` (`engine:model`); `energy` is what it took of this machine."""
        if remote:
            return self._provider(usage, model)
        return self._local(energy)

    def counterfactual(self, usage: Usage, *, large: str) -> Cost | None:
        """What the same tokens would have cost at the price of the large model; None = it has no known price.

        Another tokenizer counts the same text differently, so this is an estimate within some ten per cent.
        """
        cost = self._provider(usage, large)
        return None if cost.amount_usd is None else cost

    def _provider(self, usage: Usage, model: str) -> Cost:
        price = self.prices.get(model)
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            return UNKNOWN
        cached = usage.cached_tokens or 0
        cached_usd = price.input_usd if price.cached_usd is None else price.cached_usd
        return _sum(
            "provider",
            _tokens("input", usage.input_tokens - cached, price.input_usd, price),
            _tokens("cached input", cached, cached_usd, price),
            _tokens("output", usage.output_tokens, price.output_usd, price),
        )

    def _local(self, energy: Energy | None) -> Cost:
        """Unknown when a term that should be counted is unknown: a part would look like the whole."""
        terms: list[CostTerm] = []
        if energy is None:
            return UNKNOWN
        if self.usd_per_kwh is not None:
            if energy.joules is None:
                return UNKNOWN
            amount = energy.joules / JOULES_PER_KWH * self.usd_per_kwh
            formula = f"{energy.formula} = {energy.joules:.4g} J, at {self.usd_per_kwh:g} USD/kWh"
            terms.append(CostTerm(name="electricity", amount_usd=amount, formula=formula))
        if self.hardware is not None:
            amount = self.hardware.usd_per_busy_h * energy.busy_s * energy.share / 3600
            formula = (
                f"({self.hardware.price_usd:g} - {self.hardware.residual_usd:g}) USD"
                f" / ({self.hardware.lifetime_h:g} h x {self.hardware.utilisation:g})"
                f" x {energy.busy_s:.4g} s x share {energy.share:.3g}"
            )
            terms.append(CostTerm(name="hardware", amount_usd=amount, formula=formula))
        return _sum("local", *terms) if terms else UNKNOWN


def _tokens(name: str, tokens: int, usd: float, price: Price) -> CostTerm:
    formula = f"{tokens} tokens x {usd:g} USD per million ({price.source})"
    return CostTerm(name=name, amount_usd=tokens * usd / 1e6, formula=formula)


def _sum(method: CostMethod, *terms: CostTerm) -> Cost:
    return Cost(amount_usd=math.fsum(term.amount_usd for term in terms), method=method, terms=terms)
