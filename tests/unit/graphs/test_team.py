import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from shoal import Agent, Team
from shoal.config import Settings
from shoal.core.chat import ChatRequest
from shoal.core.errors import ConfigError, EngineDown, InputError, ModelMissing, RunError, UnknownName
from shoal.core.sync import run_sync
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn


class Order(BaseModel):
    order_id: str
    total: float


GOOD = '{"order_id": "A7", "total": 12.5}'


async def test_one_request_goes_to_its_agent_and_comes_back_accepted(make_team: Any) -> None:
    model = ScriptedModel(GOOD)
    async with make_team({"orders": model}, output=Order) as team:
        result = await team.run("orders of A7, 12.50 please")
    (step,) = result.steps
    assert (step.agent, step.status, step.escalated) == ("orders", "accepted", False)
    assert step.output == {"order_id": "A7", "total": 12.5}
    assert json.loads(result.answer) == step.output
    assert result.status == "done"
    assert (step.calls, step.usage.output_tokens) == (1, 4)


async def test_two_subtasks_run_side_by_side(make_team: Any) -> None:
    together = asyncio.Barrier(2)

    async def wait_for_the_other(text: str) -> str:
        async with asyncio.timeout(10), together:
            return text.upper()

    async with make_team({"one": wait_for_the_other, "two": wait_for_the_other}) as team:
        result = await team.run("one apple; two pears")
    assert [step.text for step in result.steps] == ["ONE APPLE", "TWO PEARS"]
    assert result.answer == "ONE APPLE\n\nTWO PEARS"


async def test_a_dependent_subtask_sees_the_earlier_answer(make_team: Any) -> None:
    second = ScriptedModel("done")
    models = {"one": ScriptedModel("the price is 42"), "two": second}
    async with make_team(models, depends_on={"2": ("1",)}) as team:
        await team.run("one price; two double it")
    assert "the price is 42" in second.requests[0].messages[-1].content


async def test_a_bad_shape_is_repaired_with_its_fault_named(make_team: Any) -> None:
    model = ScriptedModel(['{"order_id": "A7"}', GOOD])
    async with make_team({"orders": model}, output=Order) as team:
        result = await team.run("orders of A7")
    assert result.steps[0].status == "accepted"
    assert result.steps[0].calls == 2
    assert "total" in model.requests[1].messages[-1].content


async def test_what_cannot_be_repaired_is_escalated_with_the_same_job(make_team: Any) -> None:
    small, large = ScriptedModel(lambda _: "not json"), ScriptedModel(GOOD, name="big:model")
    async with make_team({"orders": small}, large=large, output=Order) as team:
        result = await team.run("orders of A7")
    (step,) = result.steps
    assert (step.status, step.escalated, step.model) == ("accepted", True, "big:model")
    assert len(small.requests) == 3
    assert step.calls == 4
    assert large.requests[0].messages == small.requests[0].messages
    assert large.requests[0].schema == small.requests[0].schema


async def test_without_a_large_model_it_is_flagged_and_says_why(make_team: Any) -> None:
    async with make_team({"orders": ScriptedModel(lambda _: "not json")}, output=Order) as team:
        result = await team.run("orders of A7")
    assert result.status == "flagged"
    assert result.steps[0].output is None
    assert result.answer.startswith("Not answered")


async def test_nobody_for_it_is_flagged_and_the_rest_is_answered(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel(lambda request: request.input.upper())}) as team:
        result = await team.run("one apple; weather in Paris")
    assert [step.status for step in result.steps] == ["accepted", "flagged"]
    assert result.steps[1].agent is None
    assert "ONE APPLE" in result.answer
    assert "weather in Paris" in result.answer


async def test_a_missing_model_is_flagged_with_its_pull_command(make_team: Any) -> None:
    missing = ModelMissing("Ollama does not have x", mend="ollama pull x")
    async with make_team({"one": ScriptedModel(lambda _: missing)}) as team:
        result = await team.run("one apple")
        row = team.runtime.ledger.run(result.run_id).calls[0]
    assert result.steps[0].status == "flagged"
    assert result.steps[0].mend == "ollama pull x"
    assert (row.status, row.error_class) == ("error", "ModelMissing")


async def test_a_large_model_that_is_down_flags_and_never_hangs(make_team: Any) -> None:
    small = ScriptedModel(lambda _: "not json")
    large = ScriptedModel(lambda _: EngineDown("nobody answers"), name="big:model")
    async with make_team({"orders": small}, large=large, output=Order) as team:
        result = await team.run("orders of A7")
    assert result.steps[0].status == "flagged"
    assert result.steps[0].escalated


@pytest.mark.parametrize("text", ["", "   \n", "a\0b", "x" * 1_000_001])
async def test_requests_that_cannot_be_meant_are_refused_and_not_recorded(make_team: Any, text: str) -> None:
    async with make_team({"one": ScriptedModel("hello")}) as team:
        with pytest.raises(InputError):
            await team.run(text)
        assert team.runtime.ledger.runs() == ()


async def test_an_alias_nobody_defined_fails_the_run_and_the_ledger_says_so(make_team: Any) -> None:
    async with make_team({"one": "tiny"}) as team:
        with pytest.raises(UnknownName, match="tiny"):
            await team.run("one apple")
        (row,) = team.runtime.ledger.runs()
    assert (row.status, row.error_class) == ("failed", "UnknownName")


async def test_a_cancelled_run_is_interrupted_and_can_be_resumed(make_team: Any) -> None:
    hanging = asyncio.Event()
    model = ScriptedModel([Turn(text="late", gate=hanging), "hello"])
    counted: list[str] = []

    def count(text: str) -> str:
        counted.append(text)
        return text

    team: Team = make_team({"one": count, "two": model}, depends_on={"2": ("1",)})
    async with team:
        run = asyncio.create_task(team.run("one apple; two pears"))
        while not model.requests:
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        (row,) = team.runtime.ledger.runs()
        assert row.status == "interrupted"
        result = await team.resume(row.id)
    assert [step.text for step in result.steps] == ["one apple", "hello"]
    assert counted == ["one apple"], "a finished step is not done again"


async def test_a_run_that_has_ended_cannot_be_resumed(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel("hello")}) as team:
        result = await team.run("one apple")
        with pytest.raises(RunError, match="has ended"):
            await team.resume(result.run_id)


async def test_a_hundred_runs_at_once_do_not_mix(make_team: Any) -> None:
    def echo(request: ChatRequest) -> str:
        return request.input

    async with make_team({"one": ScriptedModel(echo)}) as team:
        results = await asyncio.gather(*(team.run(f"one {number}") for number in range(100)))
    assert [result.answer for result in results] == [f"one {number}" for number in range(100)]


def test_run_sync_works_without_a_loop_and_twice(make_team: Any) -> None:
    team: Team = make_team({"one": ScriptedModel(lambda request: request.input)})
    assert team.run_sync("one apple").answer == "one apple"
    assert team.run_sync("one pear").answer == "one pear"
    run_sync(team.aclose())


async def test_run_sync_inside_a_loop_is_refused_with_the_async_form(make_team: Any) -> None:
    team: Team = make_team({"one": ScriptedModel("hello")})
    with pytest.raises(RunError, match="event loop"):
        team.run_sync("one apple")


def test_two_event_loops_one_after_the_other(make_team: Any) -> None:
    team: Team = make_team({"one": ScriptedModel(lambda request: request.input)})

    async def once() -> str:
        async with team:
            return (await team.run("one apple")).answer

    assert asyncio.run(once()) == asyncio.run(once()) == "one apple"


def test_teams_that_cannot_work_are_refused(settings: Settings) -> None:
    agent = Agent("one", job="Do one.", model="small")
    with pytest.raises(ConfigError, match="at least one agent"):
        Team([], settings=settings)
    with pytest.raises(ConfigError, match="two agents are called one"):
        Team([agent, agent], router=FixedRouter(["one"]), settings=settings)


async def test_agents_are_nodes_of_the_graph(make_team: Any) -> None:
    team: Team = make_team({"one": ScriptedModel("x"), "two": ScriptedModel("y")}, large=ScriptedModel("z"))
    drawn = team.graph.get_graph()
    assert {"route", "one", "two", "judge", "large", "merge"} <= set(drawn.nodes)
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("route", "one"), ("one", "judge"), ("judge", "large"), ("large", "judge")} <= edges


async def test_consent_never_keeps_a_remote_large_model_out(settings: Settings) -> None:
    def bad(text: str) -> str:
        del text
        return ""

    remote = ScriptedModel("from afar", name="ollama:big:120b-cloud")
    here = ScriptedModel("from here", name="ollama:big")
    for large, status in ((remote, "flagged"), (here, "accepted")):
        async with Team(
            [Agent("one", job="Do one.", model=bad)],
            large=large,
            router=FixedRouter(["one"]),
            escalation=Escalation(threshold=0.0, consent="never"),
            settings=settings,
        ) as team:
            assert (await team.run("one apple")).steps[0].status == status
    assert remote.requests == []
