import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import final

import pytest

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import EngineDown, StorageError, StreamBroken
from shoal.core.port import ModelInfo
from shoal.core.usage import Usage
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.scripted import Script, ScriptedModel, Turn
from shoal.tracing.cost import CostModel, Price
from shoal.tracing.energy import EstimateMeter, Power
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import RunRow, StepRow
from shoal.tracing.recorded_model import RecordedModel, Recorder
from shoal.tracing.scope import scope

REQUEST = ChatRequest(messages=(Message("user", "one two three"),))
WITH_LOGPROBS = ChatRequest(messages=REQUEST.messages, top_logprobs=1)


def answer(request: ChatRequest) -> str:
    if request.schema is None:
        return "one two three four"
    mark = re.search(r"mark-\w", request.input)
    return json.dumps({"mark": mark[0]} if mark else {"colour": "green"})


class TestContract(ChatModelContract):
    @pytest.fixture
    def model(self, ledger: Ledger) -> RecordedModel:
        return recorded(ledger, answer)


@final
class Speechless:
    """A model that breaks its promise to end with a response."""

    name = "scripted:speechless"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        yield ChatDelta(text="well ...")

    async def describe(self) -> ModelInfo:
        return ModelInfo(name=self.name)

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return None

    async def aclose(self) -> None:
        pass


def recorded(ledger: Ledger, script: Script) -> RecordedModel:
    return RecordedModel(ScriptedModel(script, name="scripted:small"), Recorder(ledger=ledger))


async def test_a_call_leaves_what_the_engine_said(ledger: Ledger, run: RunRow, step: StepRow) -> None:
    usage = Usage(
        input_tokens=3,
        output_tokens=2,
        cached_tokens=1,
        queue_s=0.1,
        load_s=0.2,
        prefill_s=0.3,
        decode_s=0.4,
        first_token_s=0.5,
    )
    model = recorded(ledger, [Turn(text="an answer", usage=usage)])

    with scope(run_id=run.id, step_id=step.id, agent="order-reader", purpose="repair", attempt=2):
        response = await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert response.text == "an answer"
    assert (row.engine, row.model, row.status) == ("scripted", "small", "ok")
    assert (row.step_id, row.agent, row.purpose, row.attempt) == (step.id, "order-reader", "repair", 2)
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (3, 2, 1)
    assert (row.queue_s, row.load_s, row.prefill_s, row.decode_s, row.first_token_s) == (
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
    )
    assert row.finish_reason == "stop"
    assert row.latency_s > 0
    assert (row.error_class, row.error) == (None, None)


async def test_the_response_comes_when_its_row_is_committed(ledger: Ledger, run: RunRow) -> None:
    with scope(run_id=run.id):
        events = recorded(ledger, "a b").stream(REQUEST)
    async with aclosing(events):
        async for event in events:
            seen = len(ledger.run(run.id).calls)
            assert seen == (1 if isinstance(event, ChatResponse) else 0)


async def test_the_scope_is_the_one_around_the_asking(ledger: Ledger, run: RunRow) -> None:
    model = recorded(ledger, "a b")
    with scope(run_id=run.id, agent="inside"):
        events = model.stream(REQUEST)
    with scope(agent="later"):
        await complete(events)

    (row,) = ledger.run(run.id).calls
    assert row.agent == "inside"


async def test_a_call_outside_any_run_is_recorded(ledger: Ledger) -> None:
    await complete(recorded(ledger, "a b").stream(REQUEST))

    assert ledger.totals().overall.calls == 1
    assert ledger.totals().overall.output_tokens == 2


async def test_a_failed_call_leaves_what_is_known(ledger: Ledger, run: RunRow) -> None:
    model = recorded(ledger, [Turn(text="a b c d", at=2, error=EngineDown("gone", why="it was killed"))])

    with scope(run_id=run.id), pytest.raises(EngineDown):
        await complete(model.stream(WITH_LOGPROBS))

    (row,) = ledger.run(run.id).calls
    assert (row.status, row.error_class) == ("error", "EngineDown")
    assert row.error == "gone\n  why:  it was killed"
    assert (row.input_tokens, row.output_tokens) == (None, 2)
    assert row.first_token_s is not None
    assert row.finish_reason is None


async def test_tokens_nobody_counted_are_unknown(ledger: Ledger, run: RunRow) -> None:
    model = recorded(ledger, [Turn(text="a b c d", at=2, error=EngineDown("gone"))])

    with scope(run_id=run.id), pytest.raises(EngineDown):
        await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert row.output_tokens is None


async def test_a_cancelled_call_is_recorded_and_the_engine_let_go(ledger: Ledger, run: RunRow) -> None:
    inner = ScriptedModel([Turn(text="a b c", at=1, gate=asyncio.Event())])
    model = RecordedModel(inner, Recorder(ledger=ledger))
    reached = asyncio.Event()

    async def ask() -> None:
        with scope(run_id=run.id):
            async for _ in model.stream(WITH_LOGPROBS):
                reached.set()

    task = asyncio.create_task(ask())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (row,) = ledger.run(run.id).calls
    assert (row.status, row.output_tokens, row.error_class) == ("cancelled", 1, None)
    assert inner.closed_early == 1


async def test_a_stream_closed_early_is_recorded(ledger: Ledger, run: RunRow) -> None:
    inner = ScriptedModel("a b c")
    with scope(run_id=run.id):
        events = RecordedModel(inner, Recorder(ledger=ledger)).stream(REQUEST)
    assert isinstance(await anext(events), ChatDelta)

    await events.aclose()

    (row,) = ledger.run(run.id).calls
    assert row.status == "cancelled"
    assert inner.closed_early == 1


async def test_a_mistake_in_an_adapter_is_recorded_too(ledger: Ledger, run: RunRow) -> None:
    """A script that ran out raises AssertionError, which is none of Shoal's errors."""
    model = recorded(ledger, [])

    with scope(run_id=run.id), pytest.raises(AssertionError):
        await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert (row.status, row.error_class) == ("error", "AssertionError")


async def test_a_stream_without_a_response_is_a_failed_call(ledger: Ledger, run: RunRow) -> None:
    model = RecordedModel(Speechless(), Recorder(ledger=ledger))

    with scope(run_id=run.id), pytest.raises(StreamBroken):
        await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert (row.status, row.error_class) == ("error", "StreamBroken")


async def test_a_call_that_cannot_be_recorded_gives_no_response(path: Path) -> None:
    ledger = Ledger.open(path)
    model = recorded(ledger, "a b")
    await ledger.aclose()

    events = model.stream(REQUEST)
    deltas = [await anext(events), await anext(events)]
    with pytest.raises(StorageError, match="is closed"):
        await anext(events)

    assert deltas == [ChatDelta(text="a"), ChatDelta(text=" b")]


async def test_a_remote_call_costs_its_price(ledger: Ledger, run: RunRow) -> None:
    recorder = Recorder(
        ledger=ledger,
        costs=CostModel(prices={"openai:big": Price(input_usd=1_000_000, output_usd=2_000_000)}),
        meter=EstimateMeter(Power()),
    )
    model = RecordedModel(ScriptedModel("a b", name="openai:big"), recorder, remote=True)

    with scope(run_id=run.id):
        await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert (row.remote, row.cost_method, row.cost_usd) == (True, "provider", 3 * 1 + 2 * 2)
    assert (row.energy_j, row.energy_method) == (None, "none")
    assert [term.name for term in row.cost_terms] == ["input", "cached input", "output"]


async def test_a_local_call_costs_the_energy_of_its_busy_time(ledger: Ledger, run: RunRow) -> None:
    power = Power(tdp_w=1_000_015, idle_w=15, cores=1)
    recorder = Recorder(ledger=ledger, costs=CostModel(usd_per_kwh=0.36), meter=EstimateMeter(power))
    turn = Turn(text="a b", usage=Usage(load_s=0.0, prefill_s=1e-7, decode_s=3e-7))
    model = RecordedModel(ScriptedModel([turn]), recorder)

    with scope(run_id=run.id):
        await complete(model.stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert (row.remote, row.cost_method, row.energy_method) == (False, "local", "estimate")
    assert row.energy_j == pytest.approx(0.4)
    assert row.cost_usd == pytest.approx(0.4e-7)
    assert row.cost_terms[0].name == "electricity"


async def test_without_a_meter_a_local_cost_is_unknown(ledger: Ledger, run: RunRow) -> None:
    with scope(run_id=run.id):
        await complete(recorded(ledger, "a").stream(REQUEST))

    (row,) = ledger.run(run.id).calls
    assert (row.cost_usd, row.cost_method, row.energy_j) == (None, "none", None)


async def test_every_way_to_end_closes_the_meter(ledger: Ledger) -> None:
    """If one did not, later calls would share the machine with a ghost."""
    meter = EstimateMeter(Power())
    recorder = Recorder(ledger=ledger, meter=meter)
    script = [Turn(text="a b c"), Turn(text="a", error=EngineDown("gone")), Turn(text="a b c")]
    model = RecordedModel(ScriptedModel(script), recorder)
    await complete(model.stream(REQUEST))
    with pytest.raises(EngineDown):
        await complete(model.stream(REQUEST))
    events = model.stream(REQUEST)
    await anext(events)
    await events.aclose()

    energy = meter.end(meter.begin(), busy_s=None)

    assert energy.share == pytest.approx(1.0)


async def test_the_rest_is_passed_on(ledger: Ledger) -> None:
    inner = ScriptedModel("a", name="scripted:small")
    model = RecordedModel(inner, Recorder(ledger=ledger))

    assert model.name == "scripted:small"
    assert await model.describe() == await inner.describe()
    assert await model.count_tokens(REQUEST) == 3
    await model.aclose()
    assert inner.closed
