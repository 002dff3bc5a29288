"""The answer cache: exact, for whole answers only, one call for equal requests, and on the record."""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from shoal import Agent, Team, fold
from shoal.config import Settings, load_settings
from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, Message, Sampling, complete
from shoal.core.errors import ConfigError, EngineDown, StreamBroken
from shoal.core.port import ModelInfo
from shoal.models.network import build_client
from shoal.models.ollama import OllamaModel
from shoal.runtime import ANSWERS, LocalRuntime
from shoal.serving.answer_store import AnswerStore, StoredAnswer, clear_answers, measure_answers
from shoal.serving.cached_model import DIGEST_S, CachedModel
from shoal.testing.fake_ollama import FakeModel, FakeOllama, Fault
from shoal.testing.fixed_router import FixedRouter
from shoal.testing.scripted import Script, ScriptedModel, Turn
from shoal.tracing.cost import CostModel, Price
from shoal.tracing.ledger import Ledger
from shoal.tracing.recorded_model import RecordedModel, Recorder

ASK = ChatRequest(messages=(Message("user", "How much?"),), max_tokens=20, top_logprobs=2, reuse=True)
INFO = ModelInfo(name="openai:some", digest="sha256:1")
PRICES = {"openai:some": Price(input_usd=1e6, output_usd=1e6)}


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


class Served:
    """A scripted model that may change its weights, behind a cache; each call costs a dollar a word."""

    def __init__(self, script: Script, folder: Path, clock: Clock, *, max_bytes: int = 1_000_000) -> None:
        self.model = ScriptedModel(script, name="openai:some", info=INFO)
        self.ledger = Ledger.open(folder / "ledger.db")
        recorder = Recorder(ledger=self.ledger, costs=CostModel(prices=PRICES))
        self.digest: str | None = "sha256:1"
        self.store = AnswerStore(folder / ANSWERS, clock=clock, max_bytes=max_bytes, max_age_s=100.0)
        self.cached = CachedModel(
            RecordedModel(_Weighed(self), recorder, remote=True), self.store, recorder, clock=clock
        )

    async def events(self, request: ChatRequest = ASK) -> list[ChatEvent]:
        async with aclosing(self.cached.stream(request)) as events:
            return [event async for event in events]

    async def text(self, request: ChatRequest = ASK) -> str:
        return (await complete(self.cached.stream(request))).text

    @property
    def asked(self) -> int:
        return len(self.model.requests)


class _Weighed:
    """Says which weights answer, as engines do and a script does not."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.name = served.model.name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        async with aclosing(self._served.model.stream(request)) as events:
            async for event in events:
                if isinstance(event, ChatResponse):
                    yield dataclasses.replace(event, digest=self._served.digest)
                else:
                    yield event

    async def describe(self) -> ModelInfo:
        return dataclasses.replace(INFO, digest=self._served.digest)

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._served.model.count_tokens(request)

    async def aclose(self) -> None:
        await self._served.model.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def serve(tmp_path: Path, clock: Clock) -> AsyncGenerator[Callable[..., Served]]:
    opened: list[Served] = []

    def make(script: Script, **limits: Any) -> Served:
        opened.append(Served(script, tmp_path, clock, **limits))
        return opened[-1]

    yield make
    for served in opened:
        await served.store.aclose()
        await served.ledger.aclose()


def repeat(request: ChatRequest) -> str:
    return request.messages[0].content


def stripped(events: list[ChatEvent]) -> list[ChatEvent]:
    """Without what may differ: what was taken, and that it was there already."""
    from shoal.core.usage import Usage

    return [
        dataclasses.replace(event, usage=Usage(), from_cache=False)
        if isinstance(event, ChatResponse)
        else event
        for event in events
    ]


async def test_the_same_request_gives_the_same_events_without_asking(serve: Callable[..., Served]) -> None:
    served = serve("About 12 francs.")
    first, second = await served.events(), await served.events()
    assert served.asked == 1
    assert stripped(first) == stripped(second)
    assert [event for event in second if isinstance(event, ChatDelta)]
    response = second[-1]
    assert isinstance(response, ChatResponse)
    assert response.from_cache


async def test_a_hit_costs_nothing_and_says_what_it_saved(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve("About 12 francs.")
    await served.events()
    await served.events()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        rows = db.execute(
            "SELECT from_cache, cost_usd, saved_usd, output_tokens, prefill_s, status FROM calls"
            " ORDER BY started_at"
        ).fetchall()
    assert rows == [(0, 5.0, None, 3, None, "ok"), (1, 0.0, 5.0, 3, 0.0, "ok")]


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (Message("user", "How many?"),)},
        {"messages": (Message("system", "How much?"),)},
        {"max_tokens": 21},
        {"schema": {"type": "string"}},
        {"top_logprobs": 3},
        {"stop": (".",)},
        {"sampling": Sampling(seed=1)},
        {"input": "How much is it?"},
    ],
)
async def test_another_request_is_asked(serve: Callable[..., Served], other: dict[str, Any]) -> None:
    served = serve('"yes"')
    await served.text()
    await served.text(dataclasses.replace(ASK, **other))
    assert served.asked == 2


@pytest.mark.parametrize(
    "other", [{"reuse": False}, {"sampling": Sampling(temperature=0.1)}, {"adapter": "red.gguf"}]
)
async def test_what_may_not_be_reused_is_neither_kept_nor_given(
    serve: Callable[..., Served], other: dict[str, Any]
) -> None:
    served = serve("yes")
    request = dataclasses.replace(ASK, **other)
    await served.text(request)
    await served.text(request)
    assert served.asked == 2


async def test_other_weights_are_asked_anew(serve: Callable[..., Served], clock: Clock) -> None:
    served = serve(["old", "new"])
    assert await served.text() == "old"
    served.digest = "sha256:2"
    clock.now += DIGEST_S + 1
    assert await served.text() == "new"


async def test_an_answer_of_weights_replaced_meanwhile_is_not_kept(serve: Callable[..., Served]) -> None:
    served = serve(["new", "newer"])
    assert await served.text(dataclasses.replace(ASK, max_tokens=19)) == "new"  # learns the digest
    served.digest = "sha256:2"
    assert await served.text() == "newer"
    assert measure_answers(served.store.path).answers == 1


async def test_an_answer_is_not_kept_for_weights_that_ollama_has_replaced(
    clock: Clock, tmp_path: Path
) -> None:
    old, new = (FakeModel(name="m", weights=word, reply=f"of the {word} ones") for word in ("old", "new"))
    store = AnswerStore(tmp_path / ANSWERS, max_bytes=1_000_000, max_age_s=100.0)
    ledger = Ledger.open(tmp_path / "ledger.db")
    async with FakeOllama([old]) as server, build_client(server.url, local_only=True) as client:
        cached = CachedModel(OllamaModel("m", client), store, Recorder(ledger=ledger), clock=clock)

        async def ask(text: str) -> ChatResponse:
            request = ChatRequest(messages=(Message("user", text),), reuse=True)
            return await complete(cached.stream(request))

        assert (await ask("first")).text == "of the old ones"  # learns the digest
        server.library.models[new.key] = new
        assert (await ask("second")).text == "of the new ones"
        assert measure_answers(store.path).answers == 1
        assert (await ask("second")).text == "of the new ones"
        server.library.models[old.key] = old
        clock.now += DIGEST_S + 1
        assert (await ask("second")).text == "of the old ones"
        assert (await ask("second")).from_cache
    await store.aclose()
    await ledger.aclose()


async def test_an_answer_whose_weights_cannot_be_told_is_given_and_not_kept(
    clock: Clock, tmp_path: Path
) -> None:
    store = AnswerStore(tmp_path / ANSWERS, max_bytes=1_000_000, max_age_s=100.0)
    ledger = Ledger.open(tmp_path / "ledger.db")
    models = [FakeModel(name="m", reply="yes")]
    async with FakeOllama(models) as server, build_client(server.url, local_only=True) as client:
        cached = CachedModel(OllamaModel("m", client), store, Recorder(ledger=ledger), clock=clock)
        server.fail(None, Fault.status(500, "busy"), on="/api/tags")
        assert (await complete(cached.stream(ASK))).text == "yes"
        assert measure_answers(store.path).answers == 0
    await store.aclose()
    await ledger.aclose()


async def test_an_engine_that_does_not_name_its_weights_is_always_asked(serve: Callable[..., Served]) -> None:
    served = serve("yes")
    served.digest = None
    await served.text()
    await served.text()
    assert served.asked == 2


@pytest.mark.parametrize(
    "turn",
    [
        Turn(text="cut in the", finish_reason="length"),
        Turn(text="I cannot.", finish_reason="refusal"),
        Turn(text=""),
        Turn(text="{not json"),
        Turn(text="dead", error=StreamBroken("died")),
    ],
)
async def test_failures_and_cut_answers_are_not_kept(serve: Callable[..., Served], turn: Turn) -> None:
    served = serve([turn, '"fine"', "never"])
    request = dataclasses.replace(ASK, schema={"type": "string"})
    with suppress(StreamBroken):
        await served.text(request)
    assert await served.text(request) == '"fine"'
    assert await served.text(request) == '"fine"'


async def test_equal_requests_at_once_ask_once(serve: Callable[..., Served]) -> None:
    gate = asyncio.Event()
    served = serve([Turn(text="one answer", gate=gate)])
    asking = [asyncio.create_task(served.text()) for _ in range(20)]
    while not served.model.running:
        await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asking) == ["one answer"] * 20
    assert served.asked == 1


async def test_when_the_one_that_asks_is_cancelled_the_others_ask(serve: Callable[..., Served]) -> None:
    served = serve([Turn(text="never", gate=asyncio.Event()), "fine", "fine", "fine"])
    first = asyncio.create_task(served.text())
    while not served.model.running:
        await asyncio.sleep(0)
    others = [asyncio.create_task(served.text()) for _ in range(3)]
    impatient = asyncio.create_task(served.text())
    await asyncio.sleep(0)
    impatient.cancel()
    first.cancel()
    assert await asyncio.gather(*others) == ["fine"] * 3
    await asyncio.wait([first, impatient])
    assert await served.text() == "fine"


async def test_a_failure_is_everyones_own(serve: Callable[..., Served]) -> None:
    served = serve([EngineDown("nobody answers") for _ in range(3)])
    done = await asyncio.gather(*(served.text() for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in done] == [EngineDown] * 3


async def test_an_old_answer_is_not_given(serve: Callable[..., Served], clock: Clock) -> None:
    served = serve(["old", "new"])
    await served.text()
    clock.now += 101
    assert await served.text() == "new"
    assert measure_answers(served.store.path).answers == 1


async def test_the_least_recently_used_go_when_there_is_no_room(
    serve: Callable[..., Served], clock: Clock
) -> None:
    alone = serve("x")
    await alone.text()
    with sqlite3.connect(alone.store.path) as db:
        (size,) = db.execute("SELECT bytes FROM answers").fetchone()
    await alone.store.aclose()
    clear_answers(alone.store.path)
    served = serve(repeat, max_bytes=int(3.5 * size))

    def ask(word: str) -> ChatRequest:
        return dataclasses.replace(ASK, messages=(Message("user", word),))

    for word in ("a", "b", "a", "c", "d"):
        clock.now += 1
        await served.text(ask(word))
    before = served.asked
    await served.text(ask("d"))
    await served.text(ask("a"))
    assert served.asked == before
    await served.text(ask("b"))
    assert served.asked == before + 1
    assert measure_answers(served.store.path).answers == 3


async def test_an_answer_larger_than_the_cache_is_not_kept(serve: Callable[..., Served]) -> None:
    served = serve("yes", max_bytes=10)
    await served.text()
    await served.text()
    assert served.asked == 2


async def test_a_damaged_file_is_made_anew_with_a_warning(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    (tmp_path / ANSWERS).write_bytes(b"no database at all" * 1000)
    served = serve("yes")
    with pytest.warns(UserWarning, match="was damaged"):
        assert await served.text() == "yes"
    await served.text()
    assert served.asked == 1


async def test_a_file_that_cannot_be_written_is_left_out_with_a_warning(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    (tmp_path / ANSWERS).mkdir()
    served = serve("yes")
    with pytest.warns(UserWarning, match="is not used"):
        assert await served.text() == "yes"


async def test_two_programs_share_what_is_kept(serve: Callable[..., Served], tmp_path: Path) -> None:
    one, two = serve("yes"), serve("never")
    assert await one.text() == await two.text() == "yes"
    assert two.asked == 0
    assert (tmp_path / ANSWERS).stat().st_mode & 0o777 == 0o600


async def test_clearing_leaves_nothing(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve("yes")
    await served.text()
    await served.store.aclose()
    assert measure_answers(tmp_path / ANSWERS).answers == 1
    clear_answers(tmp_path / ANSWERS)
    assert measure_answers(tmp_path / ANSWERS) == measure_answers(tmp_path / "nothing")
    await served.text()
    assert served.asked == 2


async def test_a_stored_answer_survives_its_way_to_disk_and_back(tmp_path: Path) -> None:
    from shoal.core.chat import TokenLogprob
    from shoal.core.usage import Usage

    token = TokenLogprob(text="ü\n", logprob=-0.25, top=(("ü\n", -0.25), ("x", -3.0)))
    response = ChatResponse(
        text="ü\n",
        finish_reason="stop",
        usage=Usage(input_tokens=3, load_s=0.5),
        model="ollama:some",
        digest="sha256:1",
        tokens=(token,),
        probability=0.5,
        cost_usd=1e-9,
    )
    answer = StoredAnswer(deltas=(ChatDelta(text="ü\n", tokens=(token,)),), response=response)
    store = AnswerStore(tmp_path / "answers.db", max_bytes=10_000, max_age_s=10)
    await store.put("key", answer)
    assert await store.get("key") == answer
    await store.aclose()


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    (tmp_path / "shoal.toml").write_text("")
    return load_settings(tmp_path)


@pytest.mark.parametrize("cache", [True, False])
async def test_an_agent_switches_it_on_and_streams_the_same(project: Settings, cache: bool) -> None:
    model = ScriptedModel("yes indeed", info=dataclasses.replace(INFO, name="scripted:model"))
    agent = Agent("one", job="Say yes.", model=model, cache=cache)
    async with Team([agent], router=FixedRouter(["one"]), settings=project) as team:
        told = [[event async for event in team.stream("one apple", mode="live")] for _ in range(2)]
        calls = [call for row in team.runtime.ledger.runs() for call in team.runtime.ledger.run(row.id).calls]
    assert [fold(events).answer for events in told] == ["yes indeed"] * 2
    kinds = [{type(event).__name__ for event in events} for events in told]
    assert kinds[0] == kinds[1]
    assert len(model.requests) == (1 if cache else 2)
    assert sorted(call.from_cache for call in calls) == [False, cache]


async def test_an_agent_that_samples_cannot_be_cached() -> None:
    with pytest.raises(ConfigError, match=r"cache=True at temperature 0\.7"):
        Agent("one", job="Say yes.", model="small", cache=True, sampling=Sampling(temperature=0.7))


async def test_the_runtime_closes_it(project: Settings) -> None:
    runtime = LocalRuntime(project)
    await runtime.answers.get("key")
    await runtime.aclose()
    assert not (project.data_path / f"{ANSWERS}-wal").exists()
