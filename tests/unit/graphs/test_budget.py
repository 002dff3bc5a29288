"""What the large model may take: never more than one call too much, and never a word too little."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import Agent, Team
from shoal.config import Settings
from shoal.core.errors import ConfigError
from shoal.core.usage import Usage
from shoal.router.escalation import Budget, Escalation
from shoal.router.escalation.budget import check_budget
from shoal.testing.fake_openai import FakeOpenAI, break_off, refuse
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.http_server import Reply, Request
from shoal.testing.scripted import ScriptedModel, Turn
from shoal.tracing.cost import Price
from shoal.tracing.record import EscalationRow, new_id
from shoal.tracing.spending import Spending

REMOTE = "ollama:big:120b-cloud"
PRICES = {REMOTE: Price(input_usd=0.0, output_usd=1_000_000.0)}
"""A dollar a token said."""


PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_budget as here
from shoal.config import load_settings
async def main():
    settings = load_settings(Path(sys.argv[2]))
    async with here.build(settings, here.one_token(), here.Budget(calls_per_day=7)) as team:
        done = await asyncio.gather(*(team.run("one hard") for _ in range(10)))
    print(sum(one.status == "done" for one in done))
asyncio.run(main())
"""


def unsure(text: str) -> str:
    return "" if "hard" in text else text.upper()


def build(settings: Settings, large: Any, budget: Budget, *, timeout_s: float = 20, **fields: Any) -> Team:
    agent = Agent("one", job="Do one.", model=unsure, max_tokens=2, timeout_s=timeout_s, **fields)
    return Team(
        [agent],
        large=large,
        router=FixedRouter(["one"]),
        escalation=Escalation(budget=budget),
        settings=settings.model_copy(update={"prices": PRICES}),
        durable=False,
    )


def one_token() -> ScriptedModel:
    return ScriptedModel(lambda _: "yes", name=REMOTE)


@pytest.mark.parametrize(
    ("budget", "asked", "why"),
    [
        (Budget(calls_per_run=0), 0, "0 calls a run"),
        (Budget(calls_per_day=2), 2, "2 calls a day"),
        (Budget(calls_per_agent=1), 1, "1 calls a day and agent"),
        (Budget(usd_per_day=2.5), 3, "$2.5 a day"),
        (Budget(share=0.5), 2, "50% of a day's answers"),
        (Budget(seconds_per_day=0), 0, "0 seconds a day"),
    ],
)
async def test_at_the_limit_the_answer_is_flagged_with_the_reason(
    settings: Settings, budget: Budget, asked: int, why: str
) -> None:
    large = one_token()
    async with build(settings, large, budget) as team:
        results = [await team.run("one hard") for _ in range(4)]
    assert len(large.requests) == asked
    assert [result.status for result in results].count("done") == asked
    last = results[-1]
    if budget.share is None:
        assert [result.status for result in results[asked:]] == ["flagged"] * (4 - asked)
        assert why in last.steps[0].why
        assert not last.steps[0].escalated
        assert "escalation.budget" in last.steps[0].mend
        assert last.totals.refused == 1


async def test_many_at_once_exceed_it_by_one_call_at_most(settings: Settings) -> None:
    large = one_token()
    async with build(settings, large, Budget(usd_per_day=5)) as team:
        results = await asyncio.gather(*(team.run("one hard") for _ in range(50)))
    assert 5 <= len(large.requests) <= 6
    assert sum(result.status == "done" for result in results) == len(large.requests)


async def test_two_processes_share_one_budget(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(settings.root)]
    running = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(2)]
    said = [(await process.communicate())[0] for process in running]
    assert sum(int(text) for text in said) == 7


async def test_a_call_in_flight_is_waited_for_and_not_counted_twice(settings: Settings) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    def answer(_: object) -> Turn:
        begun.set()
        return Turn(text="yes", gate=gate)

    large = ScriptedModel(answer, name=REMOTE)
    # One call takes two dollars at most and one in fact: a second one may be made once the first has ended.
    async with build(settings, large, Budget(usd_per_day=2)) as team:
        first = asyncio.create_task(team.run("one hard"))
        await begun.wait()
        second = asyncio.create_task(team.run("one hard"))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done
        assert len(large.requests) == 1
        gate.set()
        assert [(await run).status for run in (first, second)] == ["done", "done"]


async def test_what_never_came_to_be_asked_says_so_and_counts_as_refused(settings: Settings) -> None:
    large, now = one_token(), time.time()
    async with build(settings, large, Budget(usd_per_day=2), timeout_s=1.5) as team:
        other = await team.run("one easy")
        flying = EscalationRow(
            id=new_id(),
            run_id=other.run_id,
            step_id=None,
            agent="one",
            model=REMOTE,
            asked_at=now,
            expires_at=now + 600,
            most_usd=2.0,
        )
        await team.runtime.ledger.reserve_escalation(flying, lambda _: None)
        result = await team.run("one hard")
        refused = team.runtime.ledger.run(result.run_id).refused
    (step,) = result.steps
    assert large.requests == []
    assert (step.status, step.escalated) == ("flagged", False)
    assert "It was not asked: calls in flight may use up the budget of $2 a day." in step.why
    assert "escalation.budget" in step.mend
    assert (result.totals.refused, len(refused)) == (1, 1)


async def test_what_is_unknown_counts_as_the_most_it_could_be(settings: Settings) -> None:
    turns = [Turn(text="yes", usage=Usage())] * 3
    large = ScriptedModel(turns, name=REMOTE)
    async with build(settings, large, Budget(usd_per_day=3)) as team:
        results = [await team.run("one hard") for _ in range(3)]
        rows = [row for result in results for row in team.runtime.ledger.run(result.run_id).escalations]
    assert [result.status for result in results] == ["done", "done", "flagged"]
    assert [(row.most_usd, row.usd, row.refusal is None) for row in rows] == [
        (2.0, None, True),
        (2.0, None, True),
        (2.0, None, False),
    ]


async def test_a_call_whose_process_died_counts_until_nobody_can_settle_it(settings: Settings) -> None:
    async with build(settings, one_token(), Budget(usd_per_day=3)) as team:
        await team.run("one hard")
        with closing(sqlite3.connect(settings.data_path / "ledger.db")) as db, db:
            db.execute("UPDATE escalations SET settled_at = NULL, usd = NULL, expires_at = asked_at")
        results = [await team.run("one hard") for _ in range(2)]
    assert [result.status for result in results] == ["done", "flagged"], "two dollars at most, and one"


async def test_repairs_of_the_large_model_are_calls_of_their_own(settings: Settings) -> None:
    large = ScriptedModel(lambda _: "", name=REMOTE)
    async with build(settings, large, Budget(calls_per_day=2)) as team:
        result = await team.run("one hard")
    assert len(large.requests) == 2
    assert result.status == "flagged"


@pytest.mark.parametrize(
    ("name", "budget", "mend"),
    [
        ("openai:nobody-knows", Budget(usd_per_day=1), '[prices."openai:nobody-knows"]'),
        (REMOTE, Budget(joules_per_day=1), "usd or seconds"),
    ],
)
async def test_a_limit_that_nothing_can_be_counted_against_is_refused(
    settings: Settings, name: str, budget: Budget, mend: str
) -> None:
    remote = settings.openai.model_copy(update={"url": "https://example.com/v1"})
    settings = settings.model_copy(update={"openai": remote})
    async with build(settings, ScriptedModel("yes", name=name), budget) as team:
        with pytest.raises(ConfigError, match="cannot be kept with") as caught:
            await team.run("one hard")
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    "fields",
    [{"usd_per_day": 1, "usd_per_run": 2}, {"calls_per_day": 1, "calls_per_agent": 2}, {"share": 1.5}],
)
def test_budgets_that_contradict_themselves_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Budget(**fields)  # pyright: ignore[reportArgumentType]


amounts = st.floats(0, 10)


@given(st.lists(st.tuples(amounts, st.booleans()), max_size=30), amounts)
def test_no_order_of_granting_and_settling_exceeds_it_by_more_than_a_call(
    calls: list[tuple[float, bool]], limit: float
) -> None:
    """Calls of at most 10 dollars; each is granted if it may be, and settled at once or only at the end."""
    budget, spent, flying, took = Budget(usd_per_day=limit), 0.0, 0, 0.0
    for usd, at_once in calls:
        day = Spending(usd=spent, flying=flying, flying_usd=10.0 * flying, calls=1, answers=99)
        none = Spending()
        if check_budget(budget, {"run": none, "agent": none, "day": day}) is not None:
            continue
        took += usd
        if at_once:
            spent += usd
        else:
            flying += 1
    assert took <= limit + 10.0


async def hang(_: Request, reply: Reply) -> None:
    await reply.start(headers={"content-type": "text/event-stream"})
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refuse(500), "could not answer"),
        (refuse(404), "could not answer"),
        (break_off(ending="reset"), "could not answer"),
        (hang, "did not answer in time"),
    ],
)
async def test_a_large_model_that_is_down_or_slow_flags_the_local_answer(
    settings: Settings, fault: Any, said: str
) -> None:
    async with FakeOpenAI("Paris") as server:
        server.fail(*[fault] * 9)
        openai = settings.openai.model_copy(update={"url": server.url})
        serving = settings.serving.model_copy(update={"attempts": 1})
        settings = settings.model_copy(update={"openai": openai, "serving": serving})
        agent = Agent("one", job="Do one.", model=ScriptedModel(lambda _: "I cannot say"), timeout_s=1.5)
        async with Team(
            [agent],
            large="openai:fake",
            router=FixedRouter(["one"]),
            escalation=Escalation(budget=Budget(calls_per_day=5)),
            settings=settings,
        ) as team:
            result = await team.run("one hard")
            row = team.runtime.ledger.run(result.run_id)
    (step,) = result.steps
    assert (result.status, step.status) == ("flagged", "flagged")
    assert said in step.why
    assert step.text == "I cannot say", "the local answer is there for a person to look at"
    (granted,) = row.escalations
    assert granted.settled_at is not None
