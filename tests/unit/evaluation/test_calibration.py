"""From labelled rows to a certificate a team keeps its answers by."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shoal import Agent, Scored, Team
from shoal.config import Settings, load_settings
from shoal.core.chat import ChatRequest
from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    EngineDown,
    InputError,
    ModelMissing,
    Overloaded,
    RequestRefused,
    ShoalError,
    StorageDamaged,
    StreamBroken,
    UnknownName,
)
from shoal.core.passage import Passage
from shoal.evaluation.calibration import load_attempts
from shoal.evaluation.labelling import LabelledRow, is_expected, load_rows
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import ScriptedModel, Turn

TeamMaker = Callable[..., Team]


class Sum(BaseModel):
    total: int


def add(text: str) -> Scored[Sum]:
    """Right about numbers below 80, and about as sure as it is right."""
    number = int(text.split()[1])
    low = number < 80
    return Scored(Sum(total=number if low else -1), 0.99 - number / 1000 if low else 0.1 + number / 1000)


def broken(text: str, output: Any, expected: Any) -> bool:
    raise ZeroDivisionError(text, output, expected)


def echo(text: str) -> str:
    return text


ROWS: list[dict[str, Any]] = [
    {"input": f"one {number} of {copy}", "expected": {"total": number}}
    for number in range(100)
    for copy in range(4)
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


@pytest.fixture
def make(settings: Settings) -> TeamMaker:
    def make(model: Any = add, *, output: Any = Sum, large: Any = None, **fields: Any) -> Team:
        agents = [
            Agent("one", job="Do one.", model=model, output=output, **fields),
            Agent("two", job="Do two.", model=echo),
        ]
        return Team(
            agents,
            large=large,
            router=FixedRouter(["one", "two"]),
            escalation=Escalation(max_error=0.05),
            settings=settings,
        )

    return make


async def test_a_promise_is_made_kept_and_used_by_the_next_run(make: TeamMaker) -> None:
    async with make() as team:
        before = await team.run("one 7")
        report = await team.calibrate(ROWS)
        after = await team.run("one 7")
        unsure = await team.run("one 95")
    (found,) = report.certificates
    assert found.threshold is not None
    assert (found.max_error, found.level) == (0.05, 0.95)
    assert found.share_low <= 0.8 <= found.share_high
    assert found.rows_fitted + found.rows_tested == 400
    assert report.accuracy == {"one": 0.8}
    assert (before.steps[0].calibrated, before.steps[0].certificate) == (False, None)
    assert "uncertified" in before.steps[0].why
    assert (after.steps[0].calibrated, after.steps[0].certificate) == (True, found.id)
    assert (unsure.steps[0].status, unsure.steps[0].calibrated) == ("flagged", True)


async def test_another_process_finds_it_and_a_changed_agent_voids_it(make: TeamMaker) -> None:
    async with make() as team:
        await team.calibrate(ROWS)
    async with make() as team:
        assert (await team.run("one 7")).steps[0].calibrated
    async with make(instructions="Be brief.") as team:
        step = (await team.run("one 7")).steps[0]
        row = team.runtime.ledger.runs()[0]
        (kept,) = team.runtime.ledger.run(row.id).steps
    assert (step.calibrated, step.certificate) == (False, None)
    for reason in (step.why, kept.reason):
        assert "uncertified: its certificate is void: prompt changed since" in reason


async def test_another_function_in_its_place_voids_it(make: TeamMaker) -> None:
    async with make() as team:
        await team.calibrate(ROWS)

    def other(text: str) -> Scored[Sum]:
        return add(text)

    async with make(other) as team:
        step = (await team.run("one 7")).steps[0]
    assert not step.calibrated
    assert "the model changed since" in step.why


async def test_other_documents_void_it(make: TeamMaker, settings: Settings) -> None:
    page = (settings.root or Path()) / "handbook" / "leave.md"
    page.parent.mkdir()
    page.write_text("Thirty days.")

    def looked_up(text: str, passages: tuple[Passage, ...]) -> Scored[Sum]:
        assert passages
        return add(text)

    async with make(looked_up, knowledge="handbook") as team:
        await team.calibrate(ROWS)
        assert (await team.run("one 7")).steps[0].calibrated
    page.write_text("Twenty days.")
    async with make(looked_up, knowledge="handbook") as team:
        assert "void: knowledge changed since" in (await team.run("one 7")).steps[0].why
    page.write_text("Thirty days.")
    async with make(looked_up, knowledge="handbook") as team:
        assert (await team.run("one 7")).steps[0].calibrated, "what is as it was counts again"


async def test_a_certificate_of_another_version_says_so(make: TeamMaker, settings: Settings) -> None:
    async with make() as team:
        await team.calibrate(ROWS[:40])
    path = settings.data_path / "certificates" / "one.json"
    path.write_text(re.sub(r'"format": \d+', '"format": 1', path.read_text()))
    async with make() as team:
        with pytest.raises(StorageDamaged, match="of another version"):
            await team.run("one 7")


@pytest.mark.parametrize(
    ("rows", "needed"), [(ROWS[:8], True), ([{**row, "expected": {"total": -5}} for row in ROWS[:40]], False)]
)
async def test_too_few_rows_or_all_wrong_promise_nothing_and_say_so(
    make: TeamMaker, rows: list[Any], needed: bool
) -> None:
    async with make() as team:
        (found,) = (await team.calibrate(rows)).certificates
        step = (await team.run("one 7")).steps[0]
    assert found.threshold is None
    assert (found.rows_needed is not None) is needed
    assert not step.calibrated
    assert "promises nothing" in step.why


async def test_a_certificate_edited_by_hand_or_of_another_agent_is_refused(
    make: TeamMaker, settings: Settings
) -> None:
    async with make() as team:
        await team.calibrate(ROWS)
    path = settings.data_path / "certificates" / "one.json"
    text = path.read_text()
    (path.parent / "two.json").write_text(text)
    async with make() as team:
        with pytest.raises(ConfigError, match="is one's, not two's"):
            await team.run("one 7")
    (path.parent / "two.json").unlink()
    path.write_text(text.replace('"max_error": 0.05', '"max_error": 0.01'))
    async with make() as team:
        with pytest.raises(StorageDamaged, match="was changed after it was made") as caught:
            await team.run("one 7")
    assert caught.value.mend == "shoal calibrate DATA --agent one"


async def test_rows_are_routed_and_those_for_others_are_counted(make: TeamMaker) -> None:
    rows = [*ROWS[:20], {"input": "two pears", "expected": "two pears"}, {"input": "nobody", "expected": "x"}]
    async with make() as team:
        report = await team.calibrate(rows)
        only = await team.calibrate(rows, agent="one")
    assert (report.nobody, report.too_few, report.elsewhere) == (1, {"two": 1}, 0)
    assert (only.elsewhere, only.too_few) == (1, {})


async def test_a_grader_decides_and_its_own_fault_is_the_callers(make: TeamMaker) -> None:
    async with make() as team:
        report = await team.calibrate(
            ROWS[:40], grader=lambda text, output, _: output.total == int(text.split()[1])
        )
        assert report.accuracy == {"one": 1.0}
        with pytest.raises(ConfigError, match="the grader failed"):
            await team.calibrate(ROWS[:4], grader=broken)


async def test_the_large_model_is_asked_and_what_it_does_no_better_is_not_escalated(make: TeamMaker) -> None:
    large = ScriptedModel(lambda _: '{"total": -1}', name="big:model")
    async with make(large=large) as team:
        await team.calibrate(ROWS, ask_large=True)
        asked = len(large.requests)
        step = (await team.run("one 95")).steps[0]
    assert asked == len(ROWS)
    assert (step.status, step.escalated) == ("flagged", False)
    assert "not expected to do better" in step.why
    assert len(large.requests) == asked


@pytest.mark.parametrize("kind", [EngineDown, ModelMissing, Overloaded, ConfigError])
async def test_an_engine_that_cannot_be_asked_ends_it_and_keeps_nothing(
    make: TeamMaker, settings: Settings, kind: type[ShoalError]
) -> None:
    async with make(ScriptedModel(lambda _: kind("nobody answers"))) as team:
        with pytest.raises(kind):
            await team.calibrate(ROWS[:1])
    assert not (settings.data_path / "certificates").exists()


@pytest.mark.parametrize("kind", [ContextOverflow, RequestRefused, StreamBroken])
async def test_a_row_that_the_model_fails_on_is_not_acceptable_and_the_others_count(
    make: TeamMaker, settings: Settings, kind: type[ShoalError]
) -> None:
    def answer(request: ChatRequest) -> str | Turn:
        asked = request.messages[-1].content
        # After a word of the answer nothing is tried again, as with an engine.
        return Turn(text='{"total": 0}', at=1, error=kind("no")) if "one 3 " in asked else '{"total": 1}'

    rows = [{**row, "expected": {"total": 1}} for row in ROWS[:20]]
    async with make(ScriptedModel(answer)) as team:
        report = await team.calibrate(rows)
    assert report.accuracy == {"one": 0.8}
    assert report.failed == {"scripted:model": 4}
    kept = {row.key: row for row in load_attempts(settings.data_path / "certificates", "one")}
    assert all(row.acceptable != ("one 3 " in key) for key, row in kept.items())


async def test_a_model_that_fails_on_every_row_is_to_be_mended_first(make: TeamMaker) -> None:
    async with make(ScriptedModel(lambda _: RequestRefused("no credit left"))) as team:
        with pytest.raises(RequestRefused, match="no credit left"):
            await team.calibrate(ROWS[:8])


async def test_rows_that_expect_nothing_need_a_grader(make: TeamMaker) -> None:
    model = ScriptedModel(lambda _: '{"total": 1}')
    rows: list[Any] = [ROWS[0], {"input": "one more"}, LabelledRow(input="one at last")]
    async with make(model) as team:
        with pytest.raises(InputError, match="2 labelled rows do not say what is expected") as caught:
            await team.calibrate(rows)
        assert model.requests == []
        seen: list[Any] = []
        await team.calibrate(rows, grader=lambda _text, _output, expected: bool(seen.append(expected)))
    assert "grader" in caught.value.mend
    assert sorted(seen, key=str) == [None, None, {"total": 0}]


@pytest.mark.parametrize("rows", [[], [ROWS[0], ROWS[0]], [{"expected": 1}], [{"input": " "}], ["text"]])
async def test_rows_that_promise_nothing_good_are_refused(make: TeamMaker, rows: list[Any]) -> None:
    async with make() as team:
        with pytest.raises(InputError):
            await team.calibrate(rows)


async def test_agents_and_large_models_that_are_not_there(make: TeamMaker) -> None:
    async with make() as team:
        with pytest.raises(UnknownName):
            await team.calibrate(ROWS, agent="three")
        with pytest.raises(ConfigError, match="no large model"):
            await team.calibrate(ROWS, ask_large=True)


async def test_what_it_was_made_from_is_kept_for_its_owner(make: TeamMaker, settings: Settings) -> None:
    async with make() as team:
        await team.calibrate(ROWS[:40])
    folder = settings.data_path / "certificates"
    kept = load_attempts(folder, "one")
    assert {row.key for row in kept} == {row["input"] for row in ROWS[:40]}
    assert (folder / "one.rows.jsonl").stat().st_mode & 0o077 == 0
    assert load_attempts(folder, "two") == ()


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [("Paris", "  paris\n", True), ("Paris", ["Rome", "Paris"], True), ("Paris", "Rome", False)],
)
def test_texts_are_compared_without_case_and_spacing(output: str, expected: Any, same: bool) -> None:
    assert is_expected(Agent("one", job="Do.", model="small"), output, expected) is same


def test_a_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "one", "expected": 1}) + "\n\nnot json\n")
    with pytest.raises(InputError, match="line 3 is not JSON"):
        load_rows(path)
    path.write_text(json.dumps({"text": "one", "expected": 1}) + "\n")
    assert load_rows(path)[0].input == "one"
