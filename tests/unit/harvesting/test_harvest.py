"""Real runs of a real team leave a real ledger; what is harvested from it."""

import json
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shoal import Agent, Scored, Team
from shoal.config import Settings, load_settings
from shoal.core.errors import ConfigError, InputError, RunError, StorageError
from shoal.harvesting.correction import answered_step, corrected_step
from shoal.harvesting.harvest import Harvest, HarvestRow, Source, collect, harvest_thread
from shoal.harvesting.harvest_file import agree, check_free, meta_path, scrub_rows, write_harvest
from shoal.router.escalation import Escalation
from shoal.router.example import text_key
from shoal.router.sole import SoleRouter
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.ledger import Ledger

REMOTE = "ollama:big:120b-cloud"


class Order(BaseModel):
    order_id: str


def read(text: str) -> Scored[Order | None]:
    """Sure of what stands after "order", unsure otherwise."""
    words = text.split()
    number = words[words.index("order") + 1] if "order" in words else ""
    return Scored(Order(order_id=number or "?"), 0.95 if number else 0.1)


reader = Agent("reader", job="Read the number.", model=read, output=Order)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


def build(settings: Settings, *, consent: Any = "allow", answer: str = "L-1") -> Team:
    return Team(
        [reader],
        large=ScriptedModel(json.dumps({"order_id": answer}), name=REMOTE),
        router=SoleRouter("reader"),
        escalation=Escalation(threshold=0.5, consent=consent),
        settings=settings,
    )


def rows_of(
    team: Team, *, sources: Sequence[Source] = ("corrected", "large", "accepted"), **how: Any
) -> Harvest:
    steps = team.runtime.ledger.steps(agent="reader", thread_id=harvest_thread("reader"))
    return collect(steps, reader, sources=sources, min_confidence=how.pop("min_confidence", 0.9), **how)


async def correct(team: Team, run_id: str, answer: str) -> None:
    ledger = team.runtime.ledger
    await ledger.begin_step(corrected_step(answered_step(ledger.run(run_id), None), reader, answer))


def said(found: Harvest) -> list[tuple[str, str, str]]:
    return [(row.input, row.expected["order_id"], row.source) for row in found.rows]


async def test_every_source_is_taken_in_order_of_time(settings: Settings) -> None:
    async with build(settings) as team:
        await team.run("Where is order A-7 ?")
        await team.run("It has not come")
        wrong = await team.run("Cancel order now please, it was B-9")
        await correct(team, wrong.run_id, '{"order_id": "B-9"}')
        found = rows_of(team)
        assert said(found) == [
            ("Where is order A-7 ?", "A-7", "accepted"),
            ("It has not come", "L-1", "large"),
            ("Cancel order now please, it was B-9", "B-9", "corrected"),
        ]
        assert (found.answers, found.left_out, found.notes) == (3, {}, ())
        assert found.sources == {"accepted": 1, "large": 1, "corrected": 1}
        only = rows_of(team, sources=["large"])
        assert said(only) == [("It has not come", "L-1", "large")]
        assert only.left_out == {
            "accepted answers were not asked for": 1,
            "corrected answers were not asked for": 1,
        }
        assert said(rows_of(team, min_confidence=0.99))[0][2] == "large"
        assert rows_of(team, since=time.time()).answers == 0


async def test_a_correction_changes_neither_totals_nor_the_answer_given(settings: Settings) -> None:
    async with build(settings) as team:
        run = await team.run("Where is order A-7 ?")
        before = team.runtime.ledger.totals()
        await correct(team, run.run_id, '{"order_id": "A-8"}')
        await correct(team, run.run_id, '{"order_id": "A-9"}')
        assert team.runtime.ledger.totals() == before
        assert said(rows_of(team)) == [("Where is order A-7 ?", "A-9", "corrected")]
        with pytest.raises(InputError, match="no answer of reader"):
            await correct(team, run.run_id, '{"number": 1}')


async def test_what_a_person_forbade_is_no_teachers_row_not_even_from_another_run(settings: Settings) -> None:
    async with build(settings, consent="ask") as team:
        waiting = await team.run("It has not come")
        await team.resume(waiting.run_id, consent=False)
    async with build(settings) as team:
        await team.run("it has  not come")
        await team.run("Nothing has come")
        found = rows_of(team)
        assert said(found) == [("Nothing has come", "L-1", "large")]
        assert found.left_out["a person forbade showing it to the large model"] == 1
        assert found.left_out["no answer was accepted"] == 1
        later = rows_of(team, since=time.time() - 1e-9)
        assert (later.answers, said(later)) == (0, [])


async def test_equal_answers_are_one_row_and_contradictions_are_named_until_a_person_settles_them(
    settings: Settings,
) -> None:
    async with build(settings) as team:
        await team.run("It has not come")
        await team.run("It has NOT come")
        assert (said(rows_of(team)), rows_of(team).duplicates) == ([("It has NOT come", "L-1", "large")], 1)
    async with build(settings, answer="L-2") as team:
        run = await team.run("It has not come")
        found = rows_of(team)
        assert (said(found), found.left_out) == ([], {"answers contradict each other": 3})
        (named,) = found.contradictions
        assert [answer["order_id"] for _, answer in named.answers] == ["L-1", "L-2"]
        await correct(team, run.run_id, '{"order_id": "L-2"}')
        settled = rows_of(team)
        assert said(settled) == [("It has not come", "L-2", "corrected")]
        assert (settled.contradictions, settled.overruled) == ((), 2)


async def test_a_text_that_a_person_gave_to_another_agent_is_left_out(settings: Settings) -> None:
    async with build(settings) as team:
        await team.run("Where is order A-7 ?")
        found = rows_of(team, elsewhere={text_key("where is ORDER a-7 ?")})
        assert found.left_out == {"a person gave its text to another agent": 1}


async def test_an_answer_of_yesterdays_shape_is_left_out(settings: Settings) -> None:
    class Changed(BaseModel):
        number: int

    async with build(settings) as team:
        await team.run("Where is order A-7 ?")
        steps = team.runtime.ledger.steps(agent="reader", thread_id="")
        now = Agent("reader", job="Read.", model=read, output=Changed)
        found = collect(steps, now, min_confidence=0.0)
        assert found.left_out == {"the answer does not fit what the agent answers today": 1}


async def test_a_run_of_several_parts_is_corrected_by_naming_one(settings: Settings) -> None:
    async with build(settings) as team:
        run = await team.run("Where is order A-7 ?")
        record = team.runtime.ledger.run(run.run_id)
        with pytest.raises(RunError, match='no answered subtask "9"'):
            answered_step(record, "9")


def row(text: str, answer: Any = "fine", **fields: Any) -> HarvestRow:
    return HarvestRow(input=text, expected=answer, source="large", run_id="r", step_id=text[:4], **fields)


async def written(
    path: Path, rows: Sequence[HarvestRow], ledger: Ledger, **how: Any
) -> tuple[list[Any], Any]:
    found = Harvest(rows=tuple(rows), answers=len(rows))
    plain, scrubbed = await scrub_rows(found, **how)
    agreement = await agree(ledger, agent="reader", who=" Ann Lee ", what="rows are written")
    write_harvest(path, plain, agent="reader", harvest=found, scrubbed=scrubbed, agreement=agreement)
    lines = path.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines], json.loads(meta_path(path).read_text())


async def test_nothing_is_written_without_consent_and_the_consent_is_in_file_and_ledger(
    settings: Settings, tmp_path: Path
) -> None:
    async with build(settings) as team:
        ledger = team.runtime.ledger
        for nobody in (None, "  "):
            with pytest.raises(ConfigError, match="without a person's consent") as refused:
                await agree(ledger, agent="reader", who=nobody, what="rows are written")
            assert refused.value.mend == 'shoal harvest reader --consent "NAME"'
        assert ledger.runs() == ()
        rows, meta = await written(tmp_path / "rows.jsonl", [row("One is fine"), row("Two is fine")], ledger)
        assert [each["source"] for each in rows] == ["large", "large"]
        (run,) = ledger.runs(thread_id="harvest/reader")
        (step,) = ledger.run(run.id).steps
        assert (step.node, step.reason) == ("consent", "Ann Lee agreed that rows are written.")
        assert meta["consent"] == {
            "who": "Ann Lee",
            "what": "rows are written",
            "at": run.started_at,
            "run_id": run.id,
        }
        assert (meta["rows"], meta["agent"], meta["scrubbed"]["spotter"]) == (2, "reader", None)
        assert stat.S_IMODE((tmp_path / "rows.jsonl").stat().st_mode) == 0o600


async def test_rows_are_scrubbed_before_they_are_written(settings: Settings, tmp_path: Path) -> None:
    async def spot(text: str) -> list[tuple[str, str]]:
        if "broken" in text:
            raise InputError("too long")
        return [("PERSON", "Ann Lee"), ("GPE", "Berlin")]

    rows = [
        row(
            "Ann Lee of Berlin, ann@lee.de",
            {"to": "ann@lee.de"},
            rationale="Ann Lee says ann@lee.de",
            samples=(1,),
        ),
        row("the broken one"),
        row("Mail maria@gmx.de", {"name": "maria"}),
    ]
    async with build(settings) as team:
        (first,), meta = await written(
            tmp_path / "rows.jsonl", rows, team.runtime.ledger, spotter=spot, spotter_name="spotter"
        )
    data = (tmp_path / "rows.jsonl").read_text() + json.dumps(meta)
    assert "Berlin" in first["input"]
    assert first["expected"]["to"] in first["input"]
    assert first["expected"]["to"] in first["rationale"]
    for value in ("Ann Lee of", "lee.de", "gmx"):
        assert value not in data
    assert meta["scrubbed"]["replaced"] == {"email": 1, "PERSON": 1}
    assert meta["left_out"] == {
        "spotter could not read it: too long": 1,
        "a part of its answer was cut out of a personal value": 1,
    }


async def test_a_file_that_is_there_is_not_written_over_and_none_is_left_half(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("mine")
    with pytest.raises(StorageError, match="there already"):
        check_free(path)
    async with build(settings) as team:
        with pytest.raises(StorageError, match="there already"):
            await written(path, [row("One is fine")], team.runtime.ledger)
        assert path.read_text() == "mine"
        (tmp_path / "taken").write_text("")
        with pytest.raises(StorageError, match="cannot write"):
            await written(tmp_path / "taken" / "rows.jsonl", [row("One is fine")], team.runtime.ledger)
        with pytest.raises(InputError, match="no rows for reader"):
            await written(tmp_path / "none.jsonl", [], team.runtime.ledger)
    assert not list(tmp_path.glob("*.part"))
