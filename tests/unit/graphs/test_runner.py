import asyncio
import json
import resource
import sqlite3
from contextlib import closing
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from shoal import Agent, Team
from shoal.config import Settings
from shoal.core.chat import ChatRequest
from shoal.core.decision import Decision, Signals, Verdict
from shoal.core.errors import (
    ConfigError,
    DeadlineExceeded,
    RunError,
    StorageError,
    StreamBroken,
    UnknownName,
)
from shoal.core.usage import add_known
from shoal.graphs.nodes import MAX_CHAIN
from shoal.graphs.state import Outcome, Planned
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn
from shoal.tracing.record import RunRow, RunStatus


class Order(BaseModel):
    order_id: str


def say(request: ChatRequest) -> str:
    return request.input


async def test_what_a_result_says_is_what_the_ledger_says(make_team: Any) -> None:
    models = {"one": ScriptedModel(["not json", '{"order_id": "A7"}']), "two": ScriptedModel(lambda _: "no")}
    large = ScriptedModel(['{"order_id": "B8"}'], name="big:model")
    async with make_team(models, large=large, output=Order) as team:
        result = await team.run("one A7; two B8")
        record = team.runtime.ledger.run(result.run_id)
        totals = team.runtime.ledger.totals(run_ids=[result.run_id]).overall
    assert [step.status for step in result.steps] == ["accepted", "accepted"]
    assert result.totals.calls == sum(step.calls for step in result.steps) == len(record.calls) == 6
    for name in ("input_tokens", "output_tokens"):
        added = sum(getattr(call, name) for call in record.calls)
        assert getattr(result.totals, name) == added == getattr(totals, name)
        assert added == sum(getattr(step.usage, name) for step in result.steps)
    assert result.totals.cost_usd == pytest.approx(totals.cost_usd)
    assert result.totals.cost_usd == pytest.approx(add_known(*(step.cost_usd for step in result.steps)))
    assert record.run.ended_at is not None
    assert result.totals.latency_s == record.run.ended_at - record.run.started_at
    for step, key in zip(result.steps, ("1", "2"), strict=True):
        rows = [row for row in record.steps if row.subtask_id == key]
        assert step.latency_s == sum(row.latency_s or 0 for row in rows)
    assert result.totals.share_local == totals.share_local == 0.5
    assert [call.purpose for call in record.calls if call.agent == "two"] == [
        "answer",
        "repair",
        "repair",
        "escalation",
    ]


async def test_what_a_dead_attempt_used_is_counted(make_team: Any) -> None:
    dead = Turn(text="one two three four", at=3, error=StreamBroken("died"))
    async with make_team({"one": ScriptedModel(lambda _: dead)}) as team:
        result = await team.run("one apple")
        (call,) = team.runtime.ledger.run(result.run_id).calls
    assert result.status == "flagged"
    assert (call.status, call.output_tokens) == ("error", 3)
    assert result.totals.output_tokens == 3
    assert result.steps[0].usage.output_tokens == 3
    assert result.steps[0].text == "one two three"


async def test_a_node_that_fails_ends_the_run_and_its_step_says_why(make_team: Any) -> None:
    def broken(text: str, output: str) -> bool:
        raise ZeroDivisionError(text + output)

    hanging = ScriptedModel([Turn(text="never", gate=asyncio.Event())])
    agents = {"one": ScriptedModel("hello"), "two": hanging}
    team: Team = make_team(agents, checks=[broken])
    async with team:
        with pytest.raises(ConfigError, match="the check broken of one failed"):
            await team.run("one apple; two pears")
        (row,) = team.runtime.ledger.runs()
        record = team.runtime.ledger.run(row.id)
    assert (row.status, row.error_class) == ("failed", "ConfigError")
    steps = {step.agent: step for step in record.steps}
    assert steps["one"].error_class == "ConfigError"
    assert steps["one"].ended_at is not None
    assert hanging.running == 0, "its neighbour is stopped"
    assert {call.agent: call.status for call in record.calls} == {"one": "ok", "two": "cancelled"}


async def test_what_was_not_accepted_is_not_handed_on_as_an_answer(make_team: Any) -> None:
    second = ScriptedModel("done")
    models = {"one": ScriptedModel(lambda _: "I'm sorry, I cannot do that."), "two": second}
    async with make_team(models, depends_on={"2": ("1",)}) as team:
        result = await team.run("one price; two double it")
    assert result.steps[0].status == "flagged"
    assert "sorry" not in second.requests[0].messages[-1].content


async def test_a_failed_run_goes_on_where_it_failed(make_team: Any) -> None:
    done: list[str] = []

    def count(text: str) -> str:
        done.append(text)
        return text

    fixed: list[bool] = []

    def check(text: str, output: str) -> bool:
        return fixed[0] if text.startswith("two") else True

    models = {"one": count, "two": ScriptedModel(say)}
    async with make_team(models, depends_on={"2": ("1",)}, checks=[check]) as team:
        with pytest.raises(ConfigError):
            await team.run("one apple; two pears")
        (row,) = team.runtime.ledger.runs()
        fixed.append(True)
        result = await team.resume(row.id[:8])
        assert team.runtime.ledger.run(row.id).run.status == "done"
    assert result.answer == "one apple\n\ntwo pears"
    assert done == ["one apple"]


@pytest.mark.parametrize("status", ["accepted", "running", "interrupted", "failed"])
async def test_a_run_that_never_began_is_resumed_from_its_request(make_team: Any, status: RunStatus) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        row = RunRow(id="a" * 32, team="team", input="one apple", started_at=1.0, status=status)
        await team.runtime.ledger.begin_run(row)
        result = await team.resume("aaaa")
    assert result.answer == "one apple"


@pytest.mark.parametrize("request_text", ["one apple", "nobody knows"])
async def test_a_run_that_has_ended_is_not_resumed(make_team: Any, request_text: str) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        result = await team.run(request_text)
        with pytest.raises(RunError, match="has ended") as caught:
            await team.resume(result.run_id)
    assert caught.value.mend == f"shoal trace {result.run_id[:8]}"


async def test_a_run_killed_after_its_last_step_is_only_concluded(make_team: Any) -> None:
    model = ScriptedModel(["first and only"])
    async with make_team({"one": model}) as team:
        before = await team.run("one apple")
        await team.runtime.ledger.mark_run(before.run_id, "running")
        after = await team.resume(before.run_id)
        assert team.runtime.ledger.run(before.run_id).run.status == "done"
    assert (after.answer, after.steps[0].output) == (before.answer, before.steps[0].output)
    assert len(model.requests) == 1


async def test_a_run_nobody_has_cannot_be_resumed(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        with pytest.raises(RunError, match="no run begins with"):
            await team.resume("abc")


async def test_without_checkpoints_nothing_can_be_resumed(make_team: Any) -> None:
    async with make_team({"one": "nothing"}, durable=False) as team:
        with pytest.raises(UnknownName):
            await team.run("one apple")
        with pytest.raises(RunError, match="cannot be resumed") as caught:
            await team.resume(team.runtime.ledger.runs()[0].id)
    assert "durable=True" in caught.value.mend


async def test_another_team_cannot_resume_a_run_it_lacks_the_agents_for(make_team: Any) -> None:
    async with make_team({"one": "nothing", "two": "nothing"}) as team:
        with pytest.raises(UnknownName):
            await team.run("two pears")
        (row,) = team.runtime.ledger.runs()
    async with make_team({"one": ScriptedModel(say)}) as other:
        with pytest.raises(RunError, match="cannot go on without two"):
            await other.resume(row.id)


async def test_two_runs_on_one_thread_are_two_runs(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        results = await asyncio.gather(
            *(team.run(f"one {number}", thread_id="conversation") for number in range(2))
        )
        rows = team.runtime.ledger.runs(thread_id="conversation")
    assert [result.answer for result in results] == ["one 0", "one 1"]
    assert {row.id for row in rows} == {result.run_id for result in results}


async def test_a_chain_without_end_is_refused_before_anything_is_asked(make_team: Any) -> None:
    model = ScriptedModel(say)
    count = MAX_CHAIN + 1
    chain = {str(number): (str(number - 1),) for number in range(2, count + 1)}
    async with make_team({"one": model}, depends_on=chain) as team:
        with pytest.raises(RunError, match="wait for one another"):
            await team.run("; ".join(f"one {number}" for number in range(count)))
    assert model.requests == []


async def test_the_longest_chain_with_every_answer_escalated_stays_within_langgraphs_limit(
    make_team: Any,
) -> None:
    chain = {str(number): (str(number - 1),) for number in range(2, MAX_CHAIN + 1)}
    small = ScriptedModel(lambda _: Turn(text="No.", finish_reason="refusal"))
    large = ScriptedModel(say, name="big:model")
    async with make_team({"one": small}, large=large, depends_on=chain, durable=False) as team:
        result = await team.run("; ".join(f"one {number}" for number in range(MAX_CHAIN)))
    assert result.status == "done"
    assert all(step.escalated for step in result.steps)


async def test_checkpoints_that_cannot_be_written_end_the_run_with_a_storage_error(
    make_team: Any, settings: Settings
) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        await team.run("one apple")
        with closing(sqlite3.connect(settings.data_path / "checkpoints.db")) as db:
            db.execute("DROP TABLE checkpoints")
        with pytest.raises(StorageError, match="checkpoints cannot be kept in") as caught:
            await team.run("one pear")
        row = team.runtime.ledger.runs()[0]
    assert (row.status, row.error_class) == ("failed", "StorageError")
    assert caught.value.mend
    assert str(settings.data_path) in caught.value.what


async def test_a_ledger_that_cannot_grow_ends_the_run_with_a_storage_error(
    make_team: Any, settings: Settings
) -> None:
    async with make_team({"one": ScriptedModel(say)}) as team:
        await team.run("one apple")
        size = (settings.data_path / "ledger.db-wal").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, before[1]))
        try:
            with pytest.raises(StorageError) as caught:
                await team.run("one " + "apple " * 100_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "ledger" in caught.value.what
    assert caught.value.mend


@pytest.mark.parametrize("large", ["olama:big", "nowhere"])
def test_a_large_model_nobody_has_is_refused_when_the_team_is_made(settings: Settings, large: str) -> None:
    agent = Agent("one", job="Do one.", model="ollama:x")
    with pytest.raises(UnknownName):
        Team([agent], large=large, settings=settings)


Kind = Literal["accepted", "pending", "flagged"]


@pytest.mark.parametrize("status", ["accepted", "pending", "flagged"])
def test_state_survives_being_json(status: Kind) -> None:
    decision = Decision(
        agent="one",
        confidence=0.5,
        calibrated=True,
        best="one",
        margin=0.1,
        threshold=0.2,
        scores={"one": 0.5},
    )
    outcome = Outcome(
        subtask_id="1",
        agent="one",
        model="m:m",
        text="ü \U0001f600",
        output={"n": [1, 2.5, None]},
        status=status,
        escalated=True,
        verdict=Verdict(action="accept", reason="good", confidence=0.5),
        signals=Signals(margin=0.5, checks_failed=("a",)),
    )
    assert Outcome.model_validate(json.loads(json.dumps(outcome.model_dump(mode="json")))) == outcome
    planned = Planned(subtask=FixedRouter(["one"]).split("one apple")[0], decision=decision)
    assert Planned.model_validate(json.loads(json.dumps(planned.model_dump(mode="json")))) == planned


async def test_a_run_is_bounded_by_its_agents_deadline(make_team: Any) -> None:
    model = ScriptedModel([Turn(text="never", gate=asyncio.Event())])
    async with make_team({"one": model}, timeout_s=0.05) as team:
        result = await team.run("one apple")
    assert result.status == "flagged"
    assert "timeout_s=0.1" in result.steps[0].mend
    assert model.running == 0


async def test_many_runs_of_one_team_keep_their_order_and_their_rows(settings: Settings) -> None:
    def answer(text: str) -> str:
        return text.upper()

    agent = Agent("one", job="Do one.", model=answer)
    quiet = Escalation(threshold=0.5)
    async with Team([agent], router=FixedRouter(["one"]), escalation=quiet, settings=settings) as team:
        results = await asyncio.gather(*(team.run(f"one {number}") for number in range(200)))
        assert len(team.runtime.ledger.runs(limit=1000, status="done")) == 200
    assert [result.answer for result in results] == [f"ONE {number}" for number in range(200)]
    assert len({result.run_id for result in results}) == 200


async def test_no_deadline_of_an_earlier_run_is_left_behind(make_team: Any) -> None:
    before = asyncio.all_tasks()
    model = ScriptedModel([DeadlineExceeded("late", phase="idle", limit_s=1.0), "hello"])
    async with make_team({"one": model}) as team:
        assert (await team.run("one apple")).status == "flagged"
        assert (await team.run("one pear")).answer == "hello"
    assert asyncio.all_tasks() == before
