"""Under the terms of the run, a replay decides what the run decided."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoal import Agent, Scored, Team
from shoal.agents import prompt_digest, schema_digest, tools_digest
from shoal.config import Settings, load_settings
from shoal.core.decision import Signals
from shoal.core.errors import ConfigError
from shoal.core.port import ModelInfo
from shoal.evaluation.replay import Replay, replay
from shoal.router.escalation import Budget, Certificate, Digests, Escalation, Policy
from shoal.router.escalation.combiner import fit_combiner
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn
from shoal.tools import Tool
from shoal.tracing.cost import CostModel, Price
from shoal.tracing.forecast import Forecast
from shoal.tracing.record import RunRecord

REMOTE = "ollama:big:120b-cloud"
PRICED = Forecast(
    model=REMOTE,
    remote=True,
    costs=CostModel(prices={REMOTE: Price(input_usd=0.0, output_usd=1_000_000.0)}),
    watts=None,
)
"""A dollar a token said."""
TERMS = Escalation(threshold=0.5)
TeamMaker = Callable[..., Team]


def guess(text: str) -> Scored[str]:
    return Scored(text, int(text.split()[1]) / 100)


def afar(text: str = "right answer") -> ScriptedModel:
    return ScriptedModel(lambda _: text, name=REMOTE)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


@pytest.fixture
def make(settings: Settings) -> TeamMaker:
    def make(
        agent: Agent[Any], large: Any = None, terms: Escalation = TERMS, *, sure: float = 1.0, **fields: Any
    ) -> Team:
        router = FixedRouter(["one"], confidence=sure)
        return Team([agent], large=large, router=router, escalation=terms, settings=settings, **fields)

    return make


async def record(team: Team, *requests: str, consent: bool | None = None) -> list[RunRecord]:
    """Runs one after the other; with `consent`, what a person says to all that wait."""
    async with team:
        results = [await team.run(request) for request in requests]
        if consent is not None:
            results = [await team.resume(result.run_id, consent=consent) for result in results]
        return [team.runtime.ledger.run(result.run_id) for result in results]


def again(records: list[RunRecord], forecast: Forecast | None, **budget: Any) -> Replay:
    return replay(records, Policy(TERMS), budget=Budget(**budget), forecast=forecast)


def routed(agent: Agent[Any], model: str | None = None) -> Certificate:
    """One that needs nothing but how sure the router was."""
    attempts = [Signals(router_confidence=p / 100) for p in range(1, 100)]
    combiner, _ = fit_combiner(attempts, [p > 50 for p in range(1, 100)])
    return Certificate(
        agent=agent.name,
        threshold=0.6,
        max_error=0.05,
        level=0.95,
        rows_fitted=25,
        rows_tested=75,
        kept=40,
        wrong=0,
        error_bound=0.04,
        share_local=0.5,
        share_low=0.4,
        share_high=0.6,
        rows_needed=None,
        combiner=combiner,
        digests=Digests(
            model=model,
            prompt=prompt_digest(agent),
            schema=schema_digest(agent),
            tools=tools_digest(agent),
        ),
    )


def count(start: int) -> int:
    """Count from a number."""
    return start + 1


async def test_a_tool_step_without_a_shape_stays_a_fault(make: TeamMaker) -> None:
    agent = Agent(
        "one", job="Do one.", model=ScriptedModel("neither call nor answer"), tools=[Tool.of(count)]
    )
    records = await record(make(agent), "one go")
    found = again(records, None)
    assert (found.changes, found.after.flagged) == ((), 1)
    (change,) = again(records, PRICED).changes
    assert (change.before, change.after) == ("flagged", "escalated")


async def test_an_agent_that_said_nothing_in_time_is_not_kept(make: TeamMaker) -> None:
    silent = ScriptedModel(lambda _: Turn(text="late", gate=asyncio.Event()))
    agent = Agent("one", job="Do one.", model=silent, timeout_s=0.3)
    records = await record(make(agent), "one go")
    policy = Policy(certificates={"one": routed(agent)})
    found = replay(records, policy, budget=Budget(), forecast=None)
    assert (found.changes, found.after.flagged) == ((), 1)


async def test_what_a_tool_has_done_is_not_done_again_by_the_large_model(make: TeamMaker) -> None:
    call = '{"tool": "count", "args": {"start": 1}}'
    steps = iter([call, *["neither call nor answer"] * 3])
    agent = Agent(
        "one",
        job="Do one.",
        model=ScriptedModel(lambda _: next(steps)),
        tools=[Tool.of(count, effect="idempotent")],
    )
    records = await record(make(agent, afar()), "one go")
    assert len(records[0].effects) == 1
    found = again(records, PRICED)
    assert (found.changes, found.after.flagged) == ((), 1)


async def test_a_persons_no_stays_a_no(make: TeamMaker) -> None:
    agent, ask = Agent("one", job="Do one.", model=guess), Escalation(threshold=0.5, consent="ask")
    forbidden = await record(make(agent, afar(), ask), "one 5", consent=False)
    found = again(forbidden, PRICED)
    assert (found.changes, found.after.flagged, found.after.large_usd) == ((), 1, 0.0)
    allowed = await record(make(agent, afar(), ask), "one 5", consent=True)
    assert again(allowed, PRICED).after.escalated == 1
    waiting = await record(make(agent, afar(), ask), "one 5")
    assert (waiting[0].run.status, again(waiting, PRICED).changes) == ("waiting", ())
    here = Forecast(model="ollama:big", remote=False, costs=CostModel(), watts=None)
    (change,) = again(forbidden, here).changes
    assert change.after == "escalated", "what stays on this machine was not forbidden"


async def test_what_the_large_model_made_of_it_is_no_change(make: TeamMaker) -> None:
    agent = Agent("one", job="Do one.", model=guess)
    (empty,) = await record(make(agent, afar("")), "one 5")
    assert empty.run.status == "flagged"
    found = again([empty], PRICED)
    assert (found.changes, found.before.escalated, found.after.escalated) == ((), 1, 1)


async def test_what_is_asked_at_once_is_judged_before_any_of_it_is_sent(make: TeamMaker) -> None:
    agent = Agent("one", job="Do one.", model=guess)
    terms = Escalation(threshold=0.5, budget=Budget(share_per_run=0.5))
    records = await record(make(agent, afar(), terms), "one 5; one 15; one 85; one 95", "one 5; one 15")
    found = again(records, PRICED, share_per_run=0.5)
    assert (found.changes, found.after.escalated, found.after.flagged) == ((), 3, 1)


async def test_later_parts_do_not_count_for_what_was_sent_before_them(settings: Settings) -> None:
    terms = Escalation(threshold=0.5, budget=Budget(share_per_run=0.5))
    team = Team(
        [Agent("one", job="Do one.", model=guess)],
        large=afar(),
        router=FixedRouter(["one"], depends_on={"3": ("1",), "4": ("1",)}, confidence=1.0),
        escalation=terms,
        settings=settings,
    )
    records = await record(team, "one 5; one 15; one 85; one 95")
    found = again(records, PRICED, share_per_run=0.5)
    assert (found.changes, found.after.escalated, found.after.flagged) == ((), 1, 1)


async def test_repairs_of_the_large_model_count_as_the_calls_they_are(make: TeamMaker) -> None:
    agent = Agent("one", job="Do one.", model=guess)
    terms = Escalation(threshold=0.5, budget=Budget(calls_per_day=3))
    records = await record(make(agent, afar(""), terms), "one 5", "one 15")
    found = again(records, PRICED, calls_per_day=3)
    assert (found.changes, found.after.escalated, found.after.flagged) == ((), 1, 1)


async def test_what_was_passed_over_is_asked_where_the_budget_is_used_up(make: TeamMaker) -> None:
    weights = ModelInfo(name="scripted:model", digest="sha256:a", num_ctx=4096)
    agent = Agent("one", job="Do one.", model=ScriptedModel("small answer", info=weights))
    certificates = {"one": routed(agent, "sha256:a")}
    team = make(agent, afar(), sure=0.1, certificates=certificates)
    records = await record(team, "one go", "one more")
    assert [call.purpose for each in records for call in each.calls] == ["escalation"] * 2
    policy = Policy(TERMS, certificates=certificates)
    same = replay(records, policy, budget=Budget(), forecast=PRICED)
    assert (same.changes, same.after.escalated) == ((), 2)
    one = replay(records, policy, budget=Budget(calls_per_day=1), forecast=PRICED)
    assert (one.after.escalated, one.after.asked) == (1, 1)


async def test_an_unknown_price_is_not_zero(make: TeamMaker) -> None:
    records = await record(
        make(Agent("one", job="Do one.", model=guess), afar()), "one 5", "one 55", "one 65"
    )
    unpriced = Forecast(model="openai:dark", remote=True, costs=CostModel(), watts=None)
    with pytest.raises(ConfigError, match="cannot be kept with openai:dark") as caught:
        again(records, unpriced, usd_per_day=0.000001)
    assert '[prices."openai:dark"]' in caught.value.mend
    assert again(records, unpriced, calls_per_day=9).changes == ()
    # A function says no tokens: what sending its answer would cost counts as what the other one took.
    strict, budget = Policy(Escalation(threshold=0.9)), Budget(usd_per_day=3)
    found = replay(records, strict, budget=budget, forecast=PRICED)
    assert (found.after.escalated, found.after.flagged, found.after.unpriced) == (2, 1, 1)
    with pytest.raises(ConfigError, match="usd cannot be replayed"):
        replay(records[1:], strict, budget=budget, forecast=PRICED)
