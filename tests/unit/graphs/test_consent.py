"""A run that waits for a person: what is shown, that nothing is sent before, and who may go on with it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from shoal import Agent, Team
from shoal.agents import build_request
from shoal.config import Settings, load_settings
from shoal.core.decision import Signals, Subtask, Verdict
from shoal.core.errors import ConfigError, RunError
from shoal.graphs.consent import ask_consent, parse_requests
from shoal.graphs.large import Large
from shoal.graphs.state import Outcome, Planned
from shoal.router.escalation import Budget, Escalation, LargePolicy
from shoal.runtime import LocalRuntime
from shoal.specialists import Specialist
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel

REMOTE = "ollama:big:120b-cloud"


PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_consent as here
large = here.ScriptedModel("from another process", name=here.REMOTE)
team = here.build(here.load_settings(Path(sys.argv[2])), large)
print(asyncio.run(team.resume(sys.argv[3], consent=True)).answer)
"""


def unsure(text: str) -> str:
    return "" if "hard" in text else text.upper()


def build(settings: Settings, large: ScriptedModel, budget: Budget | None = None, **fields: Any) -> Team:
    agents = [Agent(name, job=f"Do {name}.", model=unsure) for name in ("one", "two")]
    return Team(
        agents,
        large=large,
        router=FixedRouter(["one", "two"]),
        escalation=Escalation(consent="ask", budget=budget or Budget()),
        settings=settings,
        **fields,
    )


@pytest.fixture
def large() -> ScriptedModel:
    return ScriptedModel(lambda request: f"from afar: {request.input}", name=REMOTE)


@pytest.fixture
async def team(settings: Settings, large: ScriptedModel) -> AsyncGenerator[Team]:
    async with build(settings, large) as team:
        yield team


async def test_a_run_waits_and_shows_who_would_receive_exactly_which_text(
    team: Team, large: ScriptedModel
) -> None:
    result = await team.run("one easy; two hard")
    assert result.status == "waiting"
    assert large.requests == []
    (asked,) = result.consent
    assert (asked.subtask_id, asked.agent, asked.model) == ("2", "two", REMOTE)
    assert "empty" in asked.reason
    assert team.runtime.ledger.run(result.run_id).run.status == "waiting"
    after = await team.resume(result.run_id, consent=True)
    assert after.status == "done"
    assert after.answer == "ONE EASY\n\nfrom afar: two hard"
    assert asked.messages == large.requests[0].messages, "what was shown is what was sent"


async def test_of_a_specialist_it_shows_the_prompt_that_the_large_model_gets(
    settings: Settings, large: ScriptedModel
) -> None:
    """The specialist's own prompt is bare; what leaves the machine is not."""
    specialist = Specialist(
        key="one@1", base="embedded:smollm2:135m", base_digest="", adapter=None, digest="", system="Read."
    )
    agent = Agent(
        "one",
        job="Read orders.",
        model="embedded:smollm2:135m",
        instructions="Our key customer is ACME.",
        examples=[("Frau Mueller wants A-1", "A-1")],
        specialist=specialist,
    )
    runtime = LocalRuntime(settings)
    remote = Large(
        model=large,
        judge=LargePolicy(),
        budget=Budget(),
        forecast=await runtime.forecast(large),
        asks_consent=True,
    )
    local = Outcome(
        subtask_id="1",
        agent="one",
        model="embedded:smollm2:135m",
        text="",
        status="flagged",
        escalated=False,
        verdict=Verdict(action="escalate", reason="It is empty."),
        signals=Signals(empty=True),
    )
    decision = FixedRouter(["one"]).decide("one where is B-7?")
    item = Planned(subtask=Subtask(id="1", text="where is B-7?", start=0, end=13), decision=decision)

    shown = parse_requests([ask_consent(item, local, agent, remote)])[0].messages

    assert "ACME" in shown[0].content
    assert [message.content for message in shown[1:]] == ["Frau Mueller wants A-1", "A-1", "where is B-7?"]
    assert shown == build_request(remote.agent(agent, ()), "where is B-7?", ()).messages
    await runtime.aclose()


async def test_no_means_that_nothing_is_sent_and_the_answer_is_flagged(
    team: Team, large: ScriptedModel
) -> None:
    waiting = await team.run("one easy; two hard")
    result = await team.resume(waiting.run_id[:8], consent=False)
    assert result.status == "flagged"
    assert large.requests == []
    assert "A person forbade it" in result.steps[1].why
    rows = team.runtime.ledger.run(result.run_id).steps
    (decision,) = [row for row in rows if row.node == "consent"]
    assert (decision.action, decision.subtask_id) == ("abstain", "2")
    assert REMOTE in decision.reason
    assert "two hard" in decision.input


async def test_nobody_is_asked_for_what_the_budget_forbids(settings: Settings, large: ScriptedModel) -> None:
    async with build(settings, large, Budget(calls_per_day=0)) as team:
        result = await team.run("one easy; two hard")
        record = team.runtime.ledger.run(result.run_id)
    assert (result.status, result.consent, large.requests) == ("flagged", (), [])
    assert "0 calls a day" in result.steps[1].why
    assert "escalation.budget" in result.steps[1].mend
    assert [row.node for row in record.steps if row.node == "consent"] == []
    assert [row.refusal is not None for row in record.escalations] == [True]
    assert result.totals.refused == 1


async def test_a_budget_that_runs_out_while_a_person_thinks_is_kept(
    settings: Settings, large: ScriptedModel
) -> None:
    async with build(settings, large, Budget(calls_per_day=1)) as team:
        waiting = [await team.run("one hard") for _ in range(2)]
        done = [await team.resume(one.run_id, consent=True) for one in waiting]
    assert [one.status for one in waiting] == ["waiting", "waiting"]
    assert [one.status for one in done] == ["done", "flagged"]
    assert "1 calls a day" in done[1].steps[0].why
    assert len(large.requests) == 1


async def test_each_text_can_be_decided_on_its_own(team: Team, large: ScriptedModel) -> None:
    waiting = await team.run("one hard; two hard")
    assert [asked.subtask_id for asked in waiting.consent] == ["1", "2"]
    result = await team.resume(waiting.run_id, consent={"2": True})
    assert [step.status for step in result.steps] == ["flagged", "accepted"]
    assert [request.input for request in large.requests] == ["two hard"]


async def test_without_a_decision_it_goes_on_waiting(team: Team) -> None:
    waiting = await team.run("one hard")
    again = await team.resume(waiting.run_id)
    assert (again.status, again.consent) == ("waiting", waiting.consent)


async def test_of_many_who_decide_at_once_one_does(team: Team, large: ScriptedModel) -> None:
    waiting = await team.run("one hard")
    tried = await asyncio.gather(
        *(team.resume(waiting.run_id, consent=True) for _ in range(8)), return_exceptions=True
    )
    assert len(large.requests) == 1
    refused = [error for error in tried if isinstance(error, RunError)]
    assert len(refused) == 7
    assert all("is being worked on" in error.what or "has ended" in error.what for error in refused)


async def test_another_process_can_go_on(settings: Settings, large: ScriptedModel) -> None:
    async with build(settings, large) as team:
        waiting = await team.run("one hard")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(settings.root), waiting.run_id],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "from another process\n", done.stderr
    async with build(settings, large) as team:
        with pytest.raises(RunError, match="has ended"):
            await team.resume(waiting.run_id, consent=True)


async def test_a_large_model_on_this_machine_needs_no_consent(settings: Settings) -> None:
    here = ScriptedModel("from here", name="ollama:big")
    async with build(settings, here) as team:
        assert (await team.run("one hard")).status == "done"


async def test_a_run_that_still_runs_is_not_done_twice(settings: Settings) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    times: list[str] = []

    async def slow(text: str) -> str:
        times.append(text)
        begun.set()
        await go_on.wait()
        return "done"

    agent = Agent("one", job="Do one.", model=slow)
    async with Team([agent], router=FixedRouter(["one"]), settings=settings) as team:
        run = asyncio.create_task(team.run("one apple"))
        await begun.wait()
        (row,) = team.runtime.ledger.runs()
        with pytest.raises(RunError, match="is being worked on") as caught:
            await team.resume(row.id)
        go_on.set()
        assert (await run).answer == "done"
    assert "process" in caught.value.why
    assert times == ["one apple"]
    assert list((load_settings(settings.root).data_path / "leases").iterdir()) == []


async def test_to_calibrate_with_a_remote_model_takes_consent_beforehand(
    team: Team, large: ScriptedModel
) -> None:
    with pytest.raises(ConfigError, match="would see every row"):
        await team.calibrate([{"input": "one easy", "expected": "ONE EASY"}], ask_large=True)
    assert large.requests == []


def test_to_ask_takes_checkpoints(settings: Settings, large: ScriptedModel) -> None:
    with pytest.raises(ConfigError, match="needs checkpoints"):
        build(settings, large, durable=False)
