"""One agent measured on rows, with scripted models and the real ledger."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shoal import Agent, Scored
from shoal.agents.row import Row, parse_rows
from shoal.config import load_settings
from shoal.core.chat import ChatRequest
from shoal.core.errors import EngineDown, InputError
from shoal.evaluation.agent import Evaluation, evaluate_agent, share_kept
from shoal.router.escalation import Policy
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import ScriptedModel, Turn


class Order(BaseModel):
    order_id: str
    total: float | None = None


def rows(*values: tuple[str, Any]) -> tuple[Row, ...]:
    return parse_rows((n, {"input": text, "expected": e}) for n, (text, e) in enumerate(values, start=1))


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncGenerator[LocalRuntime]:
    (tmp_path / "shoal.toml").write_text("")
    runtime = LocalRuntime(load_settings(tmp_path))
    yield runtime
    await runtime.aclose()


def reader(model: Any, **fields: Any) -> Agent[Order]:
    return Agent("reader", job="Read an order.", model=model, output=Order, **fields)


async def measure(runtime: LocalRuntime, agent: Agent[Any], *values: tuple[str, Any]) -> Evaluation:
    return await evaluate_agent(agent, rows(*values), runtime, Policy())


async def test_answers_are_scored_in_the_order_of_the_rows_and_recorded_as_one_run(
    runtime: LocalRuntime,
) -> None:
    def answer(request: ChatRequest) -> str:
        order = request.input.split()[-1]
        return json.dumps({"order_id": order, "total": 5 if order == "A2" else 3})

    model = ScriptedModel(answer)
    found = await measure(
        runtime,
        reader(model),
        *((f"order A{n}", {"order_id": f"A{n}", "total": 3}) for n in range(9)),
    )
    assert [one.score.exact for one in found.answers] == [n != 2 for n in range(9)]
    assert found.scores.exact_match.value == pytest.approx(8 / 9)
    assert found.scores.field_f1.value == pytest.approx(17 / 18)
    assert found.scores.by_field["total"].f1.value == pytest.approx(8 / 9)
    assert 1 < model.most_running <= 4
    record = runtime.ledger.run(found.run_id)
    assert record.run.status == "done"
    assert len(record.calls) == 9
    assert found.totals.input_tokens == sum(call.input_tokens or 0 for call in record.calls)


async def test_an_answer_of_the_wrong_shape_is_repaired_as_when_serving_and_counts_against_it_otherwise(
    runtime: LocalRuntime,
) -> None:
    model = ScriptedModel(["nonsense", '{"order_id": "A1"}', "no", "no", "no"])
    agent = reader(model)
    mended = await measure(runtime, agent, ("order A1", {"order_id": "A1"}))
    broken = await measure(runtime, agent, ("order A2", {"order_id": "A2"}))
    assert mended.scores.exact_match.value == mended.scores.valid_output.value == 1
    assert broken.scores.valid_output.value == broken.scores.field_f1.value == 0
    assert broken.answers[0].prediction()["output"] is None
    assert "promised shape" in broken.notes[0]


async def test_a_prompt_that_does_not_fit_is_a_wrong_answer_and_the_others_count(
    runtime: LocalRuntime,
) -> None:
    model = ScriptedModel(lambda _: '{"order_id": "A1"}')
    found = await measure(
        runtime, reader(model), ("word " * 5000, {"order_id": "A1"}), ("order A1", {"order_id": "A1"})
    )
    assert [one.score.valid for one in found.answers] == [False, True]
    assert "does not fit" in str(found.answers[0].failure)


async def test_a_model_that_does_not_answer_says_nothing_about_the_agent(runtime: LocalRuntime) -> None:
    model = ScriptedModel(lambda _: EngineDown("nobody there"))
    with pytest.raises(EngineDown):
        await measure(runtime, reader(model), ("order A1", {"order_id": "A1"}))
    assert runtime.ledger.runs()[0].status == "failed"


async def test_rows_that_the_output_type_does_not_allow_are_kept_wrong_and_named(
    runtime: LocalRuntime,
) -> None:
    model = ScriptedModel(lambda _: '{"order_id": "A1"}')
    found = await measure(
        runtime, reader(model), ("order A1", {"order_id": "A1"}), ("order A2", {"number": "A1"})
    )
    assert found.scores.exact_match.value == 0.5
    assert any("output type" in note and "rows 2" in note for note in found.notes)


@pytest.mark.parametrize("text", ["a\0b", "x" * 1_000_001])
async def test_a_row_no_agent_can_work_on_is_an_input_error_with_its_number(
    runtime: LocalRuntime, text: str
) -> None:
    with pytest.raises(InputError, match="row 1"):
        await measure(runtime, reader(ScriptedModel("x")), (text, {"order_id": "A1"}))
    with pytest.raises(InputError, match="no rows"):
        await evaluate_agent(reader(ScriptedModel("x")), (), runtime, Policy())


async def test_texts_are_compared_without_case_and_any_accepted_one_will_do(runtime: LocalRuntime) -> None:
    agent = Agent("echo", job="Repeat.", model=ScriptedModel(lambda request: request.input))
    found = await measure(runtime, agent, ("Rome", ["milan", "rome "]), ("Bonn", "Berlin"))
    assert [one.score.exact for one in found.answers] == [True, False]


async def test_confidence_is_judged_by_the_agents_own_exact_answers(runtime: LocalRuntime) -> None:
    def read(text: str) -> Scored[Order]:
        number = int(text.removeprefix("order "))
        return Scored(Order(order_id=str(number % 8)), 0.9 - number / 100)

    found = await measure(runtime, reader(read), *((f"order {n}", {"order_id": str(n)}) for n in range(10)))
    assert found.scores.exact_match.value == 0.8
    assert found.confidence.auroc == 1
    assert found.confidence.kept_in_hindsight == 0.8

    def is_not_nine(text: str, _output: object) -> bool:
        return not text.endswith(" 9")

    picky = reader(read, checks=[is_not_nine])
    checked = await measure(runtime, picky, *((f"order {n}", {"order_id": str(n)}) for n in range(10)))
    assert checked.confidence.auroc == 1, (
        "what failed a check has no confidence, and would not have been kept"
    )
    said = ScriptedModel(lambda _: Turn(text='{"order_id": "1"}'))
    one_class = await measure(runtime, reader(said), ("order 1", {"order_id": "1"}))
    assert one_class.confidence.auroc is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_what_is_kept_in_hindsight_holds_its_error_and_no_threshold_keeps_more(
    pairs: list[tuple[int, bool]],
) -> None:
    sure, right = [float(s) for s, _ in pairs], [r for _, r in pairs]
    kept = share_kept(sure, right, max_error=0.2)
    allowed = [
        len(at) / len(pairs)
        for threshold in set(sure)
        if (at := [r for s, r in pairs if s >= threshold]) and at.count(False) / len(at) <= 0.2
    ]
    assert kept == max(allowed, default=0.0)
