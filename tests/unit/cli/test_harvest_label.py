"""What a person forbade is neither sent nor written: a scripted large model, all else is real."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pydantic import BaseModel

from shoal import Agent, Scored, Team
from shoal.cli.harvest_label import Labelling
from shoal.config import Settings, load_settings
from shoal.core.chat import ChatRequest
from shoal.graphs import Large
from shoal.harvesting.distil import Lessons, Taught
from shoal.harvesting.harvest import Harvest, collect, harvest_thread
from shoal.harvesting.harvest_file import agree
from shoal.router.escalation import Budget, Escalation, LargePolicy
from shoal.router.sole import SoleRouter
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import ScriptedModel

REMOTE = "ollama:big:120b-cloud"
DENIED = "Please cancel the contract of ann.lee@web.de"
FORBIDDEN = "a person forbade showing it to the large model"


class Wish(BaseModel):
    wish: str


def unsure(_: str) -> Scored[Wish | None]:
    return Scored(None, 0.1)


def teach(request: ChatRequest) -> str:
    if "other people" in request.messages[0].content:
        return json.dumps({"texts": [f"{request.messages[-1].content}, now"]})
    return json.dumps({"wish": "cancel"})


reader = Agent("reader", job="Say what is wished.", model=unsure, output=Wish)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


@pytest.fixture
async def runtime(settings: Settings) -> AsyncGenerator[LocalRuntime]:
    runtime = LocalRuntime(settings)
    yield runtime
    await runtime.aclose()


async def deny(settings: Settings, text: str) -> None:
    team = Team(
        [reader],
        large=ScriptedModel(teach, name=REMOTE),
        router=SoleRouter("reader"),
        escalation=Escalation(threshold=0.5, consent="ask"),
        settings=settings,
    )
    async with team:
        waiting = await team.run(text)
        await team.resume(waiting.run_id, consent=False)


async def ask(runtime: LocalRuntime, model: ScriptedModel, file: Path, *, variations: int = 0) -> Taught:
    agreement = await agree(runtime.ledger, agent="reader", who="Ann", what="texts are sent")
    large = Large(
        model=model,
        judge=LargePolicy(),
        budget=Budget(),
        forecast=await runtime.forecast(model),
        asks_consent=False,
    )
    labelling = Labelling(file=file, lessons=Lessons(variations=variations))
    return await labelling.ask(
        reader, large, runtime, run_id=agreement.run_id, spotter=None, keep=("hotline@shop.de",)
    )


def rows_of(runtime: LocalRuntime) -> Harvest:
    steps = runtime.ledger.steps(agent="reader", thread_id=harvest_thread("reader"))
    return collect(steps, reader, min_confidence=0.9)


async def test_a_denied_text_with_personal_data_is_neither_sent_nor_written(
    settings: Settings, runtime: LocalRuntime, tmp_path: Path
) -> None:
    await deny(settings, DENIED)
    file = tmp_path / "texts.txt"
    file.write_text(f"{DENIED.upper()}\nPlease call bob@acme.de\n")
    model = ScriptedModel(teach, name="scripted:large")
    done = await ask(runtime, model, file, variations=1)
    assert (done.labelled, done.left_out) == (2, {FORBIDDEN: 1})
    sent = [message.content for request in model.requests for message in request.messages]
    assert any("Please call" in text for text in sent)
    assert not any("contract" in text.casefold() for text in sent)
    assert [row.input.split("@")[0].split()[:2] for row in rows_of(runtime).rows] == [["Please", "call"]] * 2


async def test_what_was_labelled_before_it_was_denied_is_not_written(
    settings: Settings, runtime: LocalRuntime, tmp_path: Path
) -> None:
    file = tmp_path / "texts.txt"
    file.write_text(f"{DENIED}\nWhere is it?\n")
    done = await ask(runtime, ScriptedModel(teach, name="scripted:large"), file, variations=1)
    assert (done.labelled, len(rows_of(runtime).rows)) == (4, 4)
    await deny(settings, DENIED)
    found = rows_of(runtime)
    assert {row.input for row in found.rows} == {"Where is it?", "Where is it?, now"}
    assert found.left_out[FORBIDDEN] == 2
