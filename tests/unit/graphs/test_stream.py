"""Streams of teams: what is told, in which order, and that it folds into what an unstreamed run returns."""

import asyncio
import dataclasses
import gc
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import Agent, Result, Team, Tool, fold
from shoal.config import Settings, load_settings
from shoal.core.chat import ChatRequest
from shoal.core.errors import EngineDown, RunError, StreamBroken, UnknownName
from shoal.core.usage import Usage
from shoal.graphs import Answered, Escalated, Judged, Retracted, Routed, TeamEvent, Token
from shoal.graphs.event import StreamMode
from shoal.router.escalation import Escalation
from shoal.runtime import LEDGER
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn
from shoal.tracing.ledger_read import LedgerReader

GOOD, BAD = "a good answer", Turn(text="cut in the", finish_reason="length")


def is_good(text: str, output: str) -> bool:
    del text
    return "good" in output


async def listen(team: Team, request: str, mode: StreamMode, pauses: int = 0) -> list[TeamEvent]:
    events: list[TeamEvent] = []
    async for event in team.stream(request, mode=mode):
        events.append(event)
        for _ in range(pauses):
            await asyncio.sleep(0)
    return events


def names(events: list[TeamEvent]) -> list[str]:
    """Kinds of events, runs of one kind as one."""
    kinds = [type(event).__name__ for event in events]
    return [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]


def shown(events: list[TeamEvent]) -> dict[str, str]:
    """What a reader who obeys retractions has before the answer comes."""
    texts: dict[str, str] = {}
    for event in events:
        if isinstance(event, Token):
            texts[event.subtask_id] = texts.get(event.subtask_id, "") + event.text
        if isinstance(event, Retracted):
            del texts[event.subtask_id]
    return texts


def untimed(result: Result) -> Any:
    """Everything in it but ids, times and what is computed from times."""
    steps = [
        dataclasses.replace(
            step, usage=Usage(output_tokens=step.usage.output_tokens), latency_s=0, cost_usd=0
        )
        for step in result.steps
    ]
    counted = (result.totals.calls, result.totals.output_tokens, result.totals.share_local)
    return result.status, result.answer, steps, counted


async def test_commit_shows_an_answer_once_it_was_accepted(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel(GOOD)}) as team:
        events = await listen(team, "one apple", "commit")
        row = team.runtime.ledger.runs()[0]
    assert names(events) == ["Routed", "Judged", "Token", "Answered"]
    assert [event.text for event in events if isinstance(event, Token)] == [GOOD]
    assert row.first_shown_s is not None
    assert row.ended_at is not None
    assert 0 < row.first_shown_s < row.ended_at - row.started_at


async def test_live_shows_tokens_while_the_model_still_speaks(make_team: Any) -> None:
    rest = asyncio.Event()
    model = ScriptedModel([Turn(text=GOOD, at=1, gate=rest)])
    async with make_team({"one": model}) as team, aclosing(team.stream("one apple", mode="live")) as events:
        assert isinstance(await anext(events), Routed)
        first = await anext(events)
        assert isinstance(first, Token)
        assert GOOD.startswith(first.text)
        assert first.text != GOOD
        rest.set()
        left = [event async for event in events]
    assert names(left) == ["Token", "Judged", "Answered"]


async def test_live_takes_back_what_is_repaired_and_what_is_escalated(make_team: Any) -> None:
    small = ScriptedModel(["poor", "worse", "worst"])
    large = ScriptedModel(GOOD, name="big:model")
    async with make_team({"one": small}, large=large, checks=[is_good]) as team:
        events = await listen(team, "one apple", "live")
        record = team.runtime.ledger.run(team.runtime.ledger.runs()[0].id)
    draft = ["Token", "Judged", "Retracted"]
    assert names(events) == ["Routed", *draft, *draft, *draft, "Escalated", "Token", "Judged", "Answered"]
    verdicts = [event.verdict.action for event in events if isinstance(event, Judged)]
    assert verdicts == ["repair", "repair", "escalate", "accept"]
    (escalated,) = [event for event in events if isinstance(event, Escalated)]
    assert (escalated.agent, escalated.to_model) == ("one", "big:model")
    assert shown(events) == {"1": GOOD}
    assert [call.output_tokens for call in record.calls] == [1, 1, 1, 3], "retracted drafts stay on the bill"


async def test_commit_never_shows_what_is_not_accepted(make_team: Any) -> None:
    small = ScriptedModel(["poor", "worse", "worst"])
    async with make_team({"one": small}, checks=[is_good]) as team:
        events = await listen(team, "one apple", "commit")
        row = team.runtime.ledger.runs()[0]
    assert names(events) == ["Routed", "Judged", "Answered"]
    assert fold(events).status == "flagged"
    assert row.first_shown_s is None


async def test_subtasks_at_once_are_told_apart(make_team: Any) -> None:
    together = asyncio.Barrier(2)

    async def wait_for_the_other(text: str) -> str:
        async with asyncio.timeout(10), together:
            return text.upper()

    async with make_team({"one": wait_for_the_other, "two": wait_for_the_other}) as team:
        events = await listen(team, "one apple; two pears; nobody", "live")
    assert [event.subtask_id for event in events if isinstance(event, Routed)] == ["1", "2", "3"]
    assert shown(events) == {"1": "ONE APPLE", "2": "TWO PEARS"}
    assert "Not answered «nobody»" in fold(events).answer


@pytest.mark.parametrize("durable", [True, False])
async def test_closing_the_stream_early_interrupts_the_run_and_the_ledger_says_so(
    make_team: Any, durable: bool
) -> None:
    model = ScriptedModel([Turn(text="hello there", at=1, gate=asyncio.Event()), GOOD])
    async with make_team({"one": model}, durable=durable) as team:
        async with aclosing(team.stream("one apple", mode="live")) as events:
            async for event in events:
                if isinstance(event, Token):
                    break
        record = team.runtime.ledger.run(team.runtime.ledger.runs()[0].id)
        assert record.run.status == "interrupted"
        assert record.run.first_shown_s is not None
        assert [(call.status, call.output_tokens) for call in record.calls] == [("cancelled", 1)]
        assert model.running == 0
        if durable:
            assert (await team.resume(record.run.id)).answer == GOOD


async def test_closing_before_anything_was_read_leaves_no_run_that_runs(make_team: Any) -> None:
    async with make_team({"one": ScriptedModel(GOOD)}) as team:
        for turns in range(6):
            events = team.stream("one apple")
            reading = asyncio.ensure_future(anext(events))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            await events.aclose()
        assert {row.status for row in team.runtime.ledger.runs()} <= {"interrupted"}


async def test_a_stream_that_is_dropped_is_interrupted_when_its_team_closes(
    make_team: Any, settings: Settings
) -> None:
    model = ScriptedModel([Turn(text="hello there", at=1, gate=asyncio.Event())])
    async with make_team({"one": model}) as team:
        events = team.stream("one apple", mode="live")
        while not isinstance(await anext(events), Token):
            pass
    with pytest.raises(RunError, match="closed meanwhile"):
        await anext(events)
    del events
    gc.collect()
    (row,) = LedgerReader(settings.data_path / LEDGER).runs()
    assert row.status == "interrupted"


async def test_what_ends_the_run_is_raised_and_what_was_told_before_is_kept(make_team: Any) -> None:
    events: list[TeamEvent] = []
    async with make_team({"one": "tiny"}) as team:
        stream = team.stream("one apple")
        events.append(await anext(stream))
        with pytest.raises(UnknownName, match="tiny"):
            await anext(stream)
        assert team.runtime.ledger.runs()[0].status == "failed"
    assert names(events) == ["Routed"]
    with pytest.raises(StreamBroken):
        fold(events)


async def test_a_reader_who_never_reads_holds_up_nothing_and_piles_up_nothing(make_team: Any) -> None:
    words = 1_000
    model = ScriptedModel(lambda _: "word " * words)
    async with make_team({"one": model}, max_tokens=words, checks=[is_good]) as team:
        events = team.stream("one apple", mode="live")
        await anext(events)
        while team.runtime.ledger.runs()[0].ended_at is None:
            await asyncio.sleep(0.01)
        left = [event async for event in events]
    assert len(model.requests) == 3
    assert names(left) == ["Judged", "Answered"], "what nobody saw need not be taken back"


@pytest.mark.parametrize("mode", ["commit", "live"])
@pytest.mark.parametrize("allowed", [True, False])
async def test_a_stream_ends_where_a_person_is_asked(
    settings: Settings, mode: StreamMode, allowed: bool
) -> None:
    small, large = ScriptedModel(lambda _: "poor"), ScriptedModel(GOOD, name="ollama:big:120b-cloud")
    async with Team(
        [Agent("one", job="Do one.", model=small, checks=[is_good])],
        large=large,
        router=FixedRouter(["one"]),
        escalation=Escalation(consent="ask"),
        settings=settings,
    ) as team:
        events = await listen(team, "one apple", mode)
        waiting = fold(events)
        assert isinstance(events[-1], Answered)
        assert waiting == events[-1].result
        assert waiting.status == "waiting"
        assert shown(events) == {}
        assert large.requests == []
        result = await team.resume(waiting.run_id, consent=allowed)
    assert result.status == ("done" if allowed else "flagged")


TURNS = st.sampled_from(
    [
        GOOD,
        "poor",
        "",
        BAD,
        Turn(text=GOOD, probability=0.1),
        Turn(text=GOOD, at=2, error=StreamBroken("died")),
        EngineDown("nobody answers"),
        '{"tool": "look", "args": {"word": "x"}}',
        '{"answer": "a good one"}',
    ]
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Scripted agents a0, a1, ..., each with a part of the request; one more part is for nobody."""

    scripts: list[list[Any]]
    large: list[Any] | None
    chained: bool
    with_tool: bool
    mode: StreamMode
    pauses: int

    def team(self, folder: Path) -> Team:
        names = [f"a{number}" for number in range(len(self.scripts))]
        numbers = range(2, len(names) + 1 if self.chained else 2)
        agents = [
            Agent(
                name,
                job=f"Do {name}.",
                model=ScriptedModel(script, name=f"scripted:{name}"),
                checks=[is_good],
                tools=[Tool.of(look)] if self.with_tool else [],
            )
            for name, script in zip(names, self.scripts, strict=True)
        ]
        return Team(
            agents,
            large=None if self.large is None else by_part(self.large),
            router=FixedRouter(names, depends_on={str(number): (str(number - 1),) for number in numbers}),
            escalation=Escalation(threshold=0.5),
            settings=load_settings(folder),
            durable=False,
        )

    @property
    def request(self) -> str:
        return "; ".join([*(f"a{number} please" for number in range(len(self.scripts))), "nobody"])


def look(word: str) -> str:
    """Look a word up."""
    return word


def by_part(script: list[Any]) -> ScriptedModel:
    """Answers depend on the part and how often it came, so that the order of arrival does not matter."""
    asked: dict[str, int] = {}

    def answer(request: ChatRequest) -> Any:
        place = asked[request.input] = asked.get(request.input, -1) + 1
        return script[(len(request.input) + place) % len(script)]

    return ScriptedModel(answer, name="big:model")


@given(
    case=st.builds(
        Case,
        scripts=st.lists(st.lists(TURNS, min_size=8, max_size=8), min_size=1, max_size=3),
        large=st.none() | st.lists(TURNS, min_size=8, max_size=8),
        chained=st.booleans(),
        with_tool=st.booleans(),
        mode=st.sampled_from(["commit", "live"]),
        pauses=st.integers(0, 6),
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_events_fold_into_what_an_unstreamed_run_returns(tmp_path: Path, case: Case) -> None:
    (tmp_path / "shoal.toml").write_text("[serving]\nattempts = 1\n")
    async with case.team(tmp_path) as streamed:
        events = await listen(streamed, case.request, case.mode, case.pauses)
    async with case.team(tmp_path) as plain:
        result = await plain.run(case.request)
    assert isinstance(events[-1], Answered)
    assert fold(events) == events[-1].result
    assert untimed(fold(events)) == untimed(result)
    accepted = {step.id: step.text for step in result.steps if step.status == "accepted"}
    assert shown(events) == accepted
    verdicts = [event.verdict.action for event in events if isinstance(event, Judged)]
    assert verdicts.count("accept") == len(accepted)
    if case.mode == "commit":
        assert not [event for event in events if isinstance(event, Retracted)]
