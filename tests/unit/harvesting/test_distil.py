"""A scripted large model teaches; ledger, runtime, checks and repairs are real."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shoal import Agent
from shoal.config import load_settings
from shoal.core.chat import ChatRequest
from shoal.core.errors import EngineDown
from shoal.graphs import Large
from shoal.harvesting.distil import CleanText, Lessons, Taught, Teacher
from shoal.harvesting.harvest import Harvest, collect, harvest_thread
from shoal.harvesting.harvest_file import agree, scrub_texts
from shoal.router.escalation import Budget, LargePolicy
from shoal.router.example import text_key
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import ScriptedModel


class Order(BaseModel):
    order_id: str


reader = Agent("reader", job="Read the number of an order.", model="embedded:smollm2:135m", output=Order)


def teach(request: ChatRequest) -> str:
    system, text = request.messages[0].content, request.messages[-1].content
    if "say which words" in system:
        return "It says order."
    if "other people" in system:
        return json.dumps({"texts": [f"{text} today", text.upper(), f"{text} today"]})
    return json.dumps({"order_id": text.split()[-1] + ("?" if request.sampling.seed == 2 else "")})


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncGenerator[LocalRuntime]:
    (tmp_path / "shoal.toml").write_text("")
    runtime = LocalRuntime(load_settings(tmp_path))
    yield runtime
    await runtime.aclose()


async def taught(
    runtime: LocalRuntime,
    model: ScriptedModel,
    texts: list[str] | list[CleanText],
    lessons: Lessons | None = None,
    *,
    budget: Budget | None = None,
    **how: Any,
) -> Taught:
    agreement = await agree(runtime.ledger, agent="reader", who="Ann", what="texts are sent")
    forecast = await runtime.forecast(model)
    large = Large(
        model=model, judge=LargePolicy(), budget=budget or Budget(), forecast=forecast, asks_consent=False
    )
    metered = large.metered(runtime, seconds=30, benefit=None)
    teacher = Teacher(reader, model, metered, judge=large.judge, run_id=agreement.run_id)
    earlier = runtime.ledger.steps(agent="reader", thread_id=harvest_thread("reader"))
    clean = [CleanText(text=each, raw=each) if isinstance(each, str) else each for each in texts]
    return await teacher.teach(clean, lessons or Lessons(), earlier=earlier, **how)


def rows_of(runtime: LocalRuntime) -> Harvest:
    steps = runtime.ledger.steps(agent="reader", thread_id=harvest_thread("reader"))
    return collect(steps, reader, min_confidence=0.9)


async def test_answers_samples_reasons_and_variations_become_rows(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    done = await taught(
        runtime, model, ["Where is A7", "where is a7"], Lessons(samples=2, reasons=True, variations=2)
    )
    assert (done.labelled, done.varied, done.left_out, done.stopped) == (2, 1, {"twice in the file": 1}, None)
    first, varied = sorted(rows_of(runtime).rows, key=lambda row: row.input)
    assert (first.input, first.expected, first.source) == ("Where is A7", {"order_id": "A7"}, "labelled")
    assert first.samples == ({"order_id": "A7"}, {"order_id": "A7?"})
    assert first.rationale == "It says order."
    assert (varied.input, varied.expected) == ("Where is A7 today", {"order_id": "today"})
    (run,) = runtime.ledger.runs()
    record = runtime.ledger.run(run.id)
    assert {call.purpose for call in record.calls} == {"label", "sample", "rationale", "vary"}
    assert {call.agent for call in record.calls} == {"reader"}
    assert len(record.escalations) == len(record.calls) == len(model.requests) == 9
    assert model.requests[1].messages[0].content.startswith("Read the number of an order.")


async def test_what_was_labelled_before_is_not_paid_for_again(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    await taught(runtime, model, ["Where is A7"], Lessons(variations=1))
    asked = len(model.requests)
    again = await taught(runtime, model, ["Where is A7", "Where is B8"], Lessons(variations=1))
    assert (again.known, again.labelled) == (2, 2)
    assert len(model.requests) - asked == 3


async def test_a_budget_ends_it_and_what_was_labelled_is_kept(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    texts = [f"Where is A{number}" for number in range(9)]
    done = await taught(runtime, model, texts, budget=Budget(calls_per_run=3))
    assert "3 calls a run" in str(done.stopped)
    assert (done.labelled, sum(done.left_out.values())) == (3, 6)
    assert len(rows_of(runtime).rows) == len(model.requests) == 3
    rest = await taught(runtime, model, texts)
    assert (rest.known, rest.labelled, rest.stopped) == (3, 6, None)


async def test_a_model_that_is_gone_ends_it_and_an_answer_without_use_does_not(runtime: LocalRuntime) -> None:
    useless = ScriptedModel("no JSON at all", name="scripted:useless")
    done = await taught(runtime, useless, ["Where is A7"])
    assert done.left_out == {"the large model gave no usable answer": 1}
    gone = ScriptedModel(lambda _: EngineDown("nobody answers"), name="scripted:gone")
    done = await taught(runtime, gone, ["Where is B8"])
    assert isinstance(done.stopped, EngineDown)
    assert rows_of(runtime).rows == ()


async def test_what_a_person_forbade_is_not_sent(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    done = await taught(runtime, model, ["Where is A7", "Where is B8"], denied={"where is a7"})
    assert done.left_out == {"a person forbade showing it to the large model": 1}
    assert [request.messages[-1].content for request in model.requests] == ["Where is B8"]


async def test_what_was_scrubbed_is_still_the_text_that_a_person_forbade(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    raw = ["Cancel for ann.lee@web.de A7", "Where is B8"]
    texts, _ = await scrub_texts(raw)
    done = await taught(runtime, model, texts, denied={text_key(raw[0])})
    assert done.left_out == {"a person forbade showing it to the large model": 1}
    assert [request.messages[-1].content for request in model.requests] == ["Where is B8"]


async def test_a_variation_that_a_person_forbade_is_not_sent(runtime: LocalRuntime) -> None:
    model = ScriptedModel(teach, name="scripted:large")
    done = await taught(runtime, model, ["Where is A7"], Lessons(variations=2), denied={"where is a7 today"})
    assert (done.labelled, done.varied) == (1, 0)
    assert done.left_out == {"a person forbade showing it to the large model": 1}
    assert {request.messages[-1].content for request in model.requests} == {"Where is A7"}


async def test_texts_are_scrubbed_before_they_are_sent() -> None:
    texts, lost = await scrub_texts(["Mail ann@lee.de about A7", "Where is B8"])
    assert "lee.de" not in texts[0].text
    assert (texts[1].text, lost) == ("Where is B8", {})
    assert await scrub_texts(["Mail ann@lee.de about A7", "Where is B8"]) == (texts, lost)


async def test_a_denied_text_is_not_scrubbed_and_the_others_stay_what_they_were() -> None:
    raw = ["Mail bob@acme.de about A7", "Mail ann@lee.de about B8"]
    (_, second), _ = await scrub_texts(raw)
    texts, lost = await scrub_texts(raw, denied={text_key(raw[0])})
    assert texts == [second]
    assert lost == {"a person forbade showing it to the large model": 1}
