"""Costs against numbers computed by hand."""

import pytest

from shoal.core.errors import ConfigError
from shoal.core.usage import Usage
from shoal.tracing.cost import DEFAULT_PRICES, Cost, CostModel, Hardware, Price
from shoal.tracing.energy import Energy

USAGE = Usage(input_tokens=1_000_000, output_tokens=200_000, cached_tokens=400_000)
UNKNOWN = Cost(amount_usd=None, method="none")


def energy(joules: float | None = 3_600.0, busy_s: float = 36.0, share: float = 0.5) -> Energy:
    return Energy(joules=joules, method="estimate", busy_s=busy_s, share=share, formula="as measured")


def test_a_remote_call_costs_its_tokens() -> None:
    model = CostModel(prices={"openai:big": Price(input_usd=2.0, cached_usd=0.5, output_usd=8.0)})

    cost = model.cost(USAGE, model="openai:big", remote=True, energy=None)

    assert cost.method == "provider"
    assert [(term.name, term.amount_usd) for term in cost.terms] == [
        ("input", pytest.approx(1.2)),
        ("cached input", pytest.approx(0.2)),
        ("output", pytest.approx(1.6)),
    ]
    assert cost.amount_usd == pytest.approx(3.0)
    assert cost.terms[0].formula == "600000 tokens x 2 USD per million (own settings)"


def test_without_a_price_for_the_cache_it_costs_like_other_input() -> None:
    model = CostModel(prices={"openai:big": Price(input_usd=2.0, output_usd=8.0)})

    assert model.cost(USAGE, model="openai:big", remote=True, energy=None).amount_usd == pytest.approx(3.6)


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("openai:unheard-of", USAGE),
        ("openai:big", Usage(output_tokens=5)),
        ("openai:big", Usage(input_tokens=5)),
    ],
)
def test_a_price_or_tokens_unknown_make_the_cost_unknown(name: str, usage: Usage) -> None:
    model = CostModel(prices={"openai:big": Price(input_usd=2.0, output_usd=8.0)})

    assert model.cost(usage, model=name, remote=True, energy=None) == UNKNOWN


def test_a_local_call_costs_electricity_and_hardware() -> None:
    """3,600 J are 0.001 kWh. 1,752 USD in 8,760 h x 0.2 are 1 USD a busy hour; half of 36 s are 0.005 h."""
    hardware = Hardware(price_usd=2_000, residual_usd=248, lifetime_h=8_760, utilisation=0.2)
    model = CostModel(usd_per_kwh=0.40, hardware=hardware)

    cost = model.cost(Usage(), model="ollama:small", remote=False, energy=energy())

    assert hardware.usd_per_busy_h == pytest.approx(1.0)
    assert cost.method == "local"
    assert [(term.name, term.amount_usd) for term in cost.terms] == [
        ("electricity", pytest.approx(0.0004)),
        ("hardware", pytest.approx(0.005)),
    ]
    assert cost.amount_usd == pytest.approx(0.0054)
    assert cost.terms[0].formula == "as measured = 3600 J, at 0.4 USD/kWh"
    assert cost.terms[1].formula == "(2000 - 248) USD / (8760 h x 0.2) x 36 s x share 0.5"


def test_no_energy_is_no_cost_and_unknown_energy_an_unknown_one() -> None:
    model = CostModel(usd_per_kwh=0.40)

    assert model.cost(Usage(), model="m", remote=False, energy=energy(0.0)).amount_usd == 0.0
    assert model.cost(Usage(), model="m", remote=False, energy=energy(None)) == UNKNOWN
    assert model.cost(Usage(), model="m", remote=False, energy=None) == UNKNOWN


def test_a_part_is_not_passed_off_as_the_whole() -> None:
    """Electricity is to be counted but unknown: hardware alone would look like a total."""
    model = CostModel(usd_per_kwh=0.40, hardware=Hardware(price_usd=1000))

    assert model.cost(Usage(), model="m", remote=False, energy=energy(None)) == UNKNOWN


def test_what_is_switched_off_is_not_counted() -> None:
    hardware_only = CostModel(usd_per_kwh=None, hardware=Hardware(price_usd=3_504, lifetime_h=8_760))
    nothing = CostModel(usd_per_kwh=None)

    cost = hardware_only.cost(Usage(), model="m", remote=False, energy=energy(None))
    assert [term.name for term in cost.terms] == ["hardware"]
    assert cost.amount_usd == pytest.approx(2.0 * 0.005)
    assert nothing.cost(Usage(), model="m", remote=False, energy=energy()) == UNKNOWN


def test_what_the_large_model_would_have_cost() -> None:
    model = CostModel(prices={"openai:big": Price(input_usd=2.0, output_usd=8.0)})
    usage = Usage(input_tokens=500, output_tokens=100)

    cost = model.counterfactual(usage, large="openai:big")

    assert cost is not None
    assert cost.amount_usd == pytest.approx(0.0018)
    assert model.counterfactual(usage, large="ollama:qwen3:32b") is None
    assert model.counterfactual(Usage(), large="openai:big") is None


def test_the_shipped_prices_are_dated_and_ordered() -> None:
    for name, price in DEFAULT_PRICES.items():
        assert name.startswith("openai:")
        assert "2026" in price.source
        assert price.cached_usd is not None
        assert 0 < price.cached_usd < price.input_usd < price.output_usd


@pytest.mark.parametrize(
    ("price_usd", "residual_usd", "lifetime_h", "utilisation"),
    [(100, 200, 10, 0.5), (100, 0, 0, 0.5), (100, 0, 10, 0.0), (100, 0, 10, 1.5)],
)
def test_hardware_that_makes_no_sense_is_refused(
    price_usd: float, residual_usd: float, lifetime_h: float, utilisation: float
) -> None:
    with pytest.raises(ConfigError, match="makes no sense"):
        Hardware(
            price_usd=price_usd, residual_usd=residual_usd, lifetime_h=lifetime_h, utilisation=utilisation
        )
