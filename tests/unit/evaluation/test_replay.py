"""Recorded runs decided again: what changes, and what it would have cost."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from shoal import Agent, Scored, Team
from shoal.config import load_settings
from shoal.core.errors import ConfigError
from shoal.evaluation.replay import replay
from shoal.router.escalation import Budget, Escalation, Policy
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.cost import CostModel, Price
from shoal.tracing.forecast import Forecast
from shoal.tracing.record import RunRecord

LARGE = "openai:big"
PRICED = Forecast(
    model=LARGE,
    remote=True,
    costs=CostModel(prices={LARGE: Price(input_usd=0.0, output_usd=1_000_000.0)}),
    watts=None,
)


def guess(text: str) -> Scored[str]:
    return Scored(text, int(text.split()[1]) / 100)


@pytest.fixture
async def records(tmp_path: Path) -> AsyncGenerator[list[RunRecord]]:
    """Ten runs; their answers are .05, .15, ... sure, and those below .5 were sent on: two words each."""
    (tmp_path / "shoal.toml").write_text("")
    async with Team(
        [Agent("one", job="Do one.", model=guess)],
        large=ScriptedModel(lambda _: "right answer", name="big:model"),
        router=FixedRouter(["one"], confidence=1.0),
        escalation=Escalation(threshold=0.5),
        settings=load_settings(tmp_path),
    ) as team:
        results = [await team.run(f"one {number}") for number in range(5, 100, 10)]
        yield [team.runtime.ledger.run(result.run_id) for result in results]


async def test_under_the_same_terms_nothing_changes(records: list[RunRecord]) -> None:
    found = replay(records, Policy(Escalation(threshold=0.5)), budget=Budget(), forecast=PRICED)
    assert found.changes == ()
    assert found.answers == 10
    assert (found.before.kept, found.before.escalated) == (found.after.kept, found.after.escalated) == (5, 5)
    assert found.after.large_usd == 10.0, "five answers of two tokens at a dollar each"


async def test_another_threshold_changes_those_between(records: list[RunRecord]) -> None:
    found = replay(records, Policy(Escalation(threshold=0.3)), budget=Budget(), forecast=PRICED)
    assert [(change.before, change.after) for change in found.changes] == [("escalated", "kept")] * 2
    assert found.after.large_usd == 6.0
    assert [change.input for change in found.changes] == ["one 35", "one 45"]


async def test_a_budget_flags_what_it_does_not_reach(records: list[RunRecord]) -> None:
    found = replay(records, Policy(Escalation(threshold=0.5)), budget=Budget(usd_per_day=3), forecast=PRICED)
    assert (found.after.escalated, found.after.flagged) == (2, 3)
    verdict = found.changes[0].verdict
    assert verdict is not None
    assert "$3 a day is used up" in verdict.reason


async def test_without_a_large_model_or_a_price(records: list[RunRecord]) -> None:
    nobody = replay(records, Policy(Escalation(threshold=0.5)), budget=Budget(), forecast=None)
    assert (nobody.after.escalated, nobody.after.flagged, nobody.after.large_usd) == (0, 5, 0.0)
    unpriced = Forecast(model="openai:dark", remote=True, costs=CostModel(), watts=None)
    found = replay(records, Policy(Escalation(threshold=0.5)), budget=Budget(), forecast=unpriced)
    assert found.after.unpriced == 5


async def test_what_cannot_be_predicted_is_refused(records: list[RunRecord]) -> None:
    with pytest.raises(ConfigError, match="seconds cannot be replayed"):
        replay(records, Policy(), budget=Budget(seconds_per_day=1), forecast=PRICED)


def test_nothing_recorded_is_nothing_replayed() -> None:
    assert replay([], Policy(), budget=Budget(), forecast=None).answers == 0
