"""A request that is too hard for its agent goes to the large model at once, and everything shows it."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from shoal import Agent, Scored, Team
from shoal.config import Settings, load_settings
from shoal.evaluation.replay import replay
from shoal.router.escalation import Budget, Certificate, Escalation, Policy
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.cost import CostModel
from shoal.tracing.forecast import Forecast

REMOTE = "ollama:big:120b-cloud"
HARD, EASY = "one proof of theorem 991 by induction", "one more word on the tides, chapter 991"
TeamMaker = Callable[..., Team]


def answer(text: str) -> Scored[str]:
    """Knows all about tides and nothing about proofs, and is little surer of the one than of the other."""
    knows = "tides" in text
    return Scored("right" if knows else "no idea", random.Random(text).gauss(0.7 if knows else 0.6, 0.08))


async def remember(text: str) -> Scored[str]:
    return answer(text)


def rows() -> list[dict[str, Any]]:
    hard = [{"input": f"one proof of theorem {n} by induction", "expected": "right"} for n in range(150)]
    easy = [{"input": f"one more word on the tides, chapter {n}", "expected": "right"} for n in range(150)]
    return hard + easy


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "shoal.toml").write_text("")

    async def calibrated() -> dict[str, Certificate]:
        async with Team(
            [Agent("one", job="Do one.", model=answer)],
            router=FixedRouter(["one"]),
            escalation=Escalation(max_error=0.1),
            settings=load_settings(folder),
        ) as team:
            report = await team.calibrate(rows())
        return {one.agent: one for one in report.certificates}

    return asyncio.run(calibrated())


@pytest.fixture
def make(settings: Settings, certificates: dict[str, Certificate]) -> TeamMaker:
    def make(large: Any = None, *, model: Any = answer, **fields: Any) -> Team:
        return Team(
            [Agent("one", job="Do one.", model=model)],
            large=large,
            router=FixedRouter(["one"]),
            escalation=Escalation(max_error=0.1, **fields),
            certificates=certificates,
            settings=settings,
        )

    return make


def afar() -> ScriptedModel:
    return ScriptedModel(lambda request: f"from afar: {request.input}", name=REMOTE)


async def test_the_agent_is_passed_over_and_the_ledger_says_why(
    make: TeamMaker, certificates: dict[str, Certificate]
) -> None:
    async with make(afar()) as team:
        result = await team.run(HARD)
        record = team.runtime.ledger.run(result.run_id)
    (step,) = result.steps
    assert (step.status, step.escalated, step.text) == ("accepted", True, f"from afar: {HARD}")
    assert [call.purpose for call in record.calls] == ["escalation"], "the agent's model was not asked"
    local, large = record.steps
    assert (local.node, local.action, local.certificate) == ("one", "escalate", certificates["one"].id)
    assert local.threshold == certificates["one"].threshold
    assert local.confidence is not None
    assert local.threshold is not None
    assert local.confidence < local.threshold
    assert "at once" in local.reason
    assert local.signals is not None
    assert local.signals.difficulty is not None
    assert local.signals.difficulty > 0.8
    assert (large.node, large.action) == ("large", "accept")


async def test_an_easy_request_is_asked_and_kept(make: TeamMaker) -> None:
    async with make(afar()) as team:
        result = await team.run(EASY)
        (step,) = team.runtime.ledger.run(result.run_id).steps
    assert (result.steps[0].status, result.steps[0].escalated, result.steps[0].calibrated) == (
        "accepted",
        False,
        True,
    )
    assert step.signals is not None
    assert step.signals.difficulty is not None
    assert step.signals.difficulty < 0.2


@pytest.mark.parametrize(
    ("fields", "large"),
    [({}, None), ({"budget": Budget(calls_per_day=0)}, afar()), ({"consent": "never"}, afar())],
    ids=["no-large-model", "no-budget", "nothing-may-leave"],
)
async def test_where_nobody_else_can_be_asked_the_agent_is(
    make: TeamMaker, fields: dict[str, Any], large: ScriptedModel | None
) -> None:
    async with make(large, **fields) as team:
        (step,) = (await team.run(HARD)).steps
    assert (step.status, step.escalated, step.text) == ("flagged", False, "no idea")
    assert "at once" not in step.why


async def test_another_model_in_its_place_is_asked(make: TeamMaker) -> None:
    async with make(afar(), model=remember) as team:
        result = await team.run(HARD)
        record = team.runtime.ledger.run(result.run_id)
    assert record.calls[0].purpose == "answer"
    assert "the model changed since" in record.steps[0].reason


async def test_a_person_is_asked_before_it_is_sent(make: TeamMaker) -> None:
    large = afar()
    async with make(large, consent="ask") as team:
        waiting = await team.run(HARD)
        assert waiting.status == "waiting"
        assert large.requests == []
        (asked,) = waiting.consent
        assert "at once" in asked.reason
        assert HARD in asked.messages[-1].content
        done = await team.resume(waiting.run_id, consent=True)
        refused = await team.run(HARD)
        flagged = await team.resume(refused.run_id, consent=False)
    assert done.steps[0].text == f"from afar: {HARD}"
    assert asked.messages == large.requests[0].messages
    assert (flagged.status, len(large.requests)) == ("flagged", 1)
    assert "A person forbade it" in flagged.steps[0].why


async def test_replay_decides_it_again(
    make: TeamMaker, settings: Settings, certificates: dict[str, Certificate]
) -> None:
    async with make(afar()) as team:
        results = [await team.run(text) for text in (HARD, EASY)]
        records = [team.runtime.ledger.run(result.run_id) for result in results]
    forecast = Forecast(model=REMOTE, remote=True, costs=CostModel(), watts=None)
    policy = Policy(Escalation(max_error=0.1), certificates=certificates)
    same = replay(records, policy, budget=Budget(), forecast=forecast)
    assert (same.changes, same.after.kept, same.after.escalated, same.after.asked) == ((), 1, 1, 0)
    other = replay(records, Policy(), budget=Budget(), forecast=forecast)
    assert [(change.input, change.before, change.after) for change in other.changes] == [
        (HARD, "escalated", "asked")
    ], "without a certificate the agent would be asked, and nobody knows what it would say"
