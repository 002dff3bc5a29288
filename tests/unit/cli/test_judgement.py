"""What `shoal trace` says of a run in which everything happened."""

import io
from pathlib import Path

import pytest
from pydantic import BaseModel
from rich.console import Console

from shoal import Agent, Team
from shoal.cli.demo_decisions import decisions
from shoal.cli.judgement import forgone, show_escalations, show_judgement
from shoal.config import load_settings
from shoal.router.escalation import Budget, Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.record import RunRecord


class Order(BaseModel):
    order_id: str


@pytest.fixture
async def record(tmp_path: Path) -> RunRecord:
    """One answer repaired, one escalated, one refused by the budget."""
    (tmp_path / "shoal.toml").write_text("")
    small = ScriptedModel(["no", '{"order_id": "A7"}', *["no"] * 6])
    large = ScriptedModel(lambda _: '{"order_id": "B8"}', name="big:model")
    async with Team(
        [Agent("one", job="Do one.", model=small, output=Order)],
        large=large,
        router=FixedRouter(["one"], depends_on={"2": ("1",), "3": ("2",)}),
        escalation=Escalation(budget=Budget(calls_per_run=1)),
        settings=load_settings(tmp_path),
    ) as team:
        result = await team.run("one first; one second; one third")
        return team.runtime.ledger.run(result.run_id)


async def test_every_attempt_has_its_signals_threshold_and_reason(record: RunRecord) -> None:
    out = Console(file=io.StringIO(), width=200)
    for step in record.steps:
        show_judgement(out, step)
    show_escalations(out, record)
    assert isinstance(out.file, io.StringIO)
    shown = out.file.getvalue()
    assert "1 one: repair · confidence unknown · uncertified" in shown
    assert "1 one: accept · confidence 0.90 · threshold 0.70 · uncertified" in shown
    assert "seen: token probability 0" in shown
    assert "wrong shape" in shown
    assert "2 one (the large model): accept" in shown
    assert "predicted cost: accept $0, escalate ?, abstain $0" in shown
    assert "escalation of one to big:model: granted" in shown
    assert "refused · the budget of 1 calls a run is used up" in shown
    assert "the budget refused 1 escalation: what that cost in quality is unknown" in shown


def test_what_a_budget_cost() -> None:
    assert forgone(2, 0.825) == "the budget refused 2 escalations: about 0.82 right answers"
    assert forgone(1, 0.0) == "the budget refused 1 escalation: about 0.00 right answers"


async def test_a_case_of_every_decision(record: RunRecord) -> None:
    rows = {row.action: row for row in decisions([record], has_large=True)}
    assert {action: row.times for action, row in rows.items()} == {
        "accept": 2,
        "repair": 5,
        "escalate": 2,
        "abstain": 1,
    }
    assert rows["repair"].example == "one first"
    assert "it is asked for again" in rows["repair"].why
    assert "It was not asked: the budget of 1 calls a run is used up" in rows["abstain"].why
