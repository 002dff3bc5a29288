"""Signals that cost calls: made only when they are named, of answers without a fault."""

import math
from pathlib import Path

import pytest
from pydantic import BaseModel

from shoal import Agent, Team
from shoal.config import Settings, load_settings
from shoal.core.chat import ChatRequest, TokenLogprob
from shoal.core.errors import ConfigError, EngineDown
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn
from shoal.tracing.record import RunRecord


class Order(BaseModel):
    order_id: str


GOOD, OTHER = '{"order_id": "A7"}', '{"order_id": "B8"}'
DOUBT = TokenLogprob(text="yes", logprob=-0.5, top=((" Yes", math.log(0.6)), ("no", math.log(0.2))))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


async def ask(model: ScriptedModel, settings: Settings, escalation: Escalation) -> RunRecord:
    agent = Agent("one", job="Do one.", model=model, output=Order)
    router = FixedRouter(["one"])
    async with Team([agent], router=router, escalation=escalation, settings=settings) as team:
        result = await team.run("one apple")
        return team.runtime.ledger.run(result.run_id)


async def test_nobody_pays_for_what_was_not_named(settings: Settings) -> None:
    model = ScriptedModel([GOOD])
    record = await ask(model, settings, Escalation())
    assert record.steps[0].signals is not None
    assert (record.steps[0].signals.agreement, record.steps[0].signals.self_check) == (None, None)


async def test_samples_are_compared_with_the_answer(settings: Settings) -> None:
    model = ScriptedModel([GOOD, GOOD, OTHER, '{"order_id":  "A7" }', "not json"])
    record = await ask(model, settings, Escalation(samples=4))
    (step,) = record.steps
    assert step.signals is not None
    assert step.signals.agreement == 0.5
    assert step.action == "abstain"
    assert "agreement between samples" in step.reason
    assert [call.purpose for call in record.calls] == ["answer", *["sample"] * 4]
    assert len({request.sampling.seed for request in model.requests}) == 5
    assert all(request.sampling.temperature > 0 for request in model.requests[1:])


async def test_the_model_is_asked_whether_it_believes_itself(settings: Settings) -> None:
    def answer(request: ChatRequest) -> Turn:
        return Turn(text="yes", tokens=(DOUBT,)) if request.max_tokens == 1 else Turn(text=GOOD)

    record = await ask(ScriptedModel(answer), settings, Escalation(self_check=True))
    (step,) = record.steps
    assert step.signals is not None
    assert step.signals.self_check == pytest.approx(0.75)
    assert [call.purpose for call in record.calls] == ["answer", "self_check"]


async def test_what_cannot_be_measured_stays_unknown_and_the_answer_stands(settings: Settings) -> None:
    settings = settings.model_copy(update={"serving": settings.serving.model_copy(update={"attempts": 1})})
    model = ScriptedModel([GOOD, EngineDown("gone")])
    record = await ask(model, settings, Escalation(samples=2))
    (step,) = record.steps
    assert step.signals is not None
    assert step.signals.agreement is None
    assert step.action == "accept"


@pytest.mark.parametrize("fields", [{"samples": -1}, {"samples": 21}])
def test_settings_that_make_no_sense_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Escalation(**fields)  # pyright: ignore[reportArgumentType]
