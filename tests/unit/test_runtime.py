"""The wiring, with a fake Ollama in front of real sockets."""

import asyncio
import gc
import os
import resource
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal import Agent, Team
from shoal.config import load_settings
from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    DeadlineExceeded,
    LoadFailed,
    LocalOnlyError,
    ModelMissing,
    UnknownName,
)
from shoal.router.sole import SoleRouter
from shoal.runtime import LocalRuntime
from shoal.testing.fake_ollama import (
    CRASHED,
    QUEUE_FULL,
    FakeModel,
    FakeOllama,
    Fault,
    Seen,
    ServerSettings,
)
from shoal.testing.scripted import ScriptedModel
from shoal.tracing.ledger import Ledger

NUM_CTX = 512


def echo(seen: Seen) -> str:
    return seen.messages[-1].content[:60]


@pytest.fixture
async def server() -> AsyncGenerator[FakeOllama]:
    models = [FakeModel(name="small:1b", reply=echo), FakeModel(name="cloud:big", remote_host="ollama.com")]
    async with FakeOllama(models, settings=ServerSettings(num_parallel=4)) as server:
        yield server


Open = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Open:
    """A runtime of a project with these settings."""

    @asynccontextmanager
    async def start(toml: str) -> AsyncGenerator[LocalRuntime]:
        (tmp_path / "shoal.toml").write_text(toml)
        runtime = LocalRuntime(load_settings(tmp_path))
        try:
            yield runtime
        finally:
            await runtime.aclose()

    return start


@pytest.fixture
def team_of(tmp_path: Path) -> Callable[..., Team]:
    def make(url: str, model: str = "ollama:small:1b", **fields: Any) -> Team:
        (tmp_path / "shoal.toml").write_text(
            f'[ollama]\nurl = "{url}"\nnum_ctx = {NUM_CTX}\nparallel = 4\n[network]\nlocal_only = true\n'
        )
        agent = Agent("one", job="Do one.", model=model, **fields)
        return Team([agent], router=SoleRouter("one"), settings=load_settings(tmp_path))

    return make


ALIAS = '[models.small]\nembedded = "smollm2:135m"\nollama = "small:1b"\n'


async def test_an_alias_goes_to_the_ollama_that_answers(server: FakeOllama, start: Open) -> None:
    async with start(f'{ALIAS}[ollama]\nurl = "{server.url}"\n') as runtime:
        assert str(await runtime.resolve("small")) == "ollama:small:1b"


async def test_an_alias_goes_to_the_embedded_engine_where_no_ollama_answers(start: Open) -> None:
    async with start(f'{ALIAS}[ollama]\nurl = "http://127.0.0.1:9"\n') as runtime:
        assert str(await runtime.resolve("small")) == "embedded:smollm2:135m"


@asynccontextmanager
async def other_server(reply: bytes) -> AsyncGenerator[str]:
    """Says `reply` to whatever it is asked; its URL."""
    ended: list[asyncio.Event] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await reader.read()  # until the other side has closed
        writer.close()
        await writer.wait_closed()
        ended[-1].set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for each in ended:
            await each.wait()


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{}", b"<html>", b"\xff", None])
async def test_something_else_or_silence_at_the_address_is_no_ollama(body: bytes | None, start: Open) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
    async with (
        asyncio.timeout(10),
        other_server(b"" if body is None else head % len(body) + body) as url,
        start(f'{ALIAS}[ollama]\nurl = "{url}"\n') as runtime,
    ):
        assert await runtime.ollama_version() is None
        assert (await runtime.resolve("small")).engine == "embedded"


async def test_a_fixed_engine_is_not_probed_for(server: FakeOllama, start: Open) -> None:
    async with start(f'engine = "embedded"\n{ALIAS}[ollama]\nurl = "{server.url}"\n') as runtime:
        assert (await runtime.resolve("small")).engine == "embedded"
        assert server.requests == []


async def test_names_that_lead_nowhere(start: Open) -> None:
    async with start(f'engine = "openai"\n{ALIAS}') as runtime:
        with pytest.raises(ConfigError, match="no model for the engine openai"):
            await runtime.resolve("small")
        with pytest.raises(UnknownName) as caught:
            await runtime.resolve("smal")
        assert caught.value.suggestion == "small"
        with pytest.raises(ConfigError, match="has no address"):
            await runtime.model("openai:gpt-5")


ASK = ChatRequest(messages=(Message("user", "hello"),), max_tokens=8)


async def test_local_only_stops_a_remote_server_where_the_socket_opens(start: Open) -> None:
    toml = '[network]\nlocal_only = true\n[openai]\nurl = "http://192.0.2.1/v1"\n'
    async with start(toml) as runtime:
        with pytest.raises(LocalOnlyError, match=r"192\.0\.2\.1"):
            await complete((await runtime.model("openai:gpt-5")).stream(ASK))


async def test_local_only_stops_a_model_that_ollama_runs_elsewhere(server: FakeOllama, start: Open) -> None:
    async with start(f'[network]\nlocal_only = true\n[ollama]\nurl = "{server.url}"\n') as runtime:
        with pytest.raises(LocalOnlyError):
            await complete((await runtime.model("ollama:cloud:big")).stream(ASK))
    assert server.chats == []


async def test_local_only_with_a_remote_ollama_is_no_ollama(start: Open) -> None:
    async with start(f'{ALIAS}[network]\nlocal_only = true\n[ollama]\nurl = "http://192.0.2.1"\n') as runtime:
        assert await runtime.ollama_version() is None


async def test_local_only_keeps_spans_here(start: Open) -> None:
    toml = '[network]\nlocal_only = true\n[tracing]\notlp_endpoint = "http://192.0.2.1:4318"\n'
    async with start(toml) as runtime:
        with pytest.raises(LocalOnlyError, match="spans would leave"):
            _ = runtime.spans


async def test_weights_that_were_never_fetched_flag_the_answer_with_the_pull_command(
    tmp_path: Path, team_of: Callable[..., Team], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_CACHE_DIR", str(tmp_path / "empty"))
    async with team_of("http://127.0.0.1:9", "embedded:smollm2:135m") as team:
        result = await team.run("one apple")
        with pytest.raises(ModelMissing) as caught:
            team.runtime.weights(await team.runtime.resolve("embedded:smollm2:135m"))
    assert result.steps[0].mend == caught.value.mend == "shoal models pull embedded:smollm2:135m"
    assert result.status == "flagged"


async def test_a_gguf_of_ones_own_is_found_from_the_root_and_missed_by_name(
    start: Open, tmp_path: Path
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    async with start("") as runtime:
        assert runtime.weights(await runtime.resolve("embedded:own.gguf")) == tmp_path / "own.gguf"
        with pytest.raises(ModelMissing, match=r"other\.gguf"):
            runtime.weights(await runtime.resolve("embedded:other.gguf"))
        with pytest.raises(UnknownName):
            await runtime.model("embedded:nothing")


async def test_one_name_is_one_object_with_one_queue(server: FakeOllama, start: Open) -> None:
    given = ScriptedModel("x")
    async with start(f'{ALIAS}[ollama]\nurl = "{server.url}"\n') as runtime:
        assert await runtime.model("small") is await runtime.model("ollama:small:1b")
        assert await runtime.model(given) is await runtime.model(given)
        assert await runtime.model(given) is not await runtime.model(ScriptedModel("x"))


def open_things() -> tuple[int, set[int], set[str]]:
    """Files and sockets, threads that are not of a pool, and child processes."""
    gc.collect()
    threads = {each.ident or 0 for each in threading.enumerate() if "asyncio" not in each.name}
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(list(Path("/proc/self/fd").iterdir())), threads, set(children)


async def test_closing_twice_leaves_no_task_thread_socket_or_child(
    server: FakeOllama, team_of: Callable[..., Team], tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Cards\n\nA card costs 12.\n")

    async def once() -> None:
        team = team_of(server.url, knowledge="docs")
        assert (await team.run("one: what does a card cost?")).status == "done"
        assert await team.runtime.ollama_library.list()
        await team.aclose()
        await team.aclose()

    await once()  # what is made once in a process is there afterwards: pools, caches, the embedder
    before, tasks = open_things(), asyncio.all_tasks()
    await once()
    async with asyncio.timeout(10):
        while asyncio.all_tasks() - tasks or open_things()[0] > before[0]:
            await asyncio.sleep(0.05)  # the server's side of a closed connection ends a moment later
    assert open_things()[1:] == before[1:]


async def test_a_part_that_cannot_be_closed_does_not_keep_the_ledger_open(start: Open) -> None:
    class Stubborn:
        async def aclose(self) -> None:
            raise OSError("no")

    before = set(threading.enumerate())
    async with start("") as runtime:
        ledger: Ledger = runtime.ledger
        runtime.__dict__["ollama_library"] = Stubborn()
        with pytest.raises(OSError, match="no"):
            await runtime.aclose()
        assert "shoal-ledger" not in {thread.name for thread in set(threading.enumerate()) - before}
        assert ledger is not runtime.ledger, "used again, it opens anew"


@pytest.mark.parametrize("share", [0.5, 1.0, 1.01, 4.0])
async def test_a_prompt_is_read_whole_or_refused(
    server: FakeOllama, team_of: Callable[..., Team], share: float
) -> None:
    async with team_of(server.url, max_tokens=32) as team:
        text = " ".join(f"w{number}" for number in range(int(NUM_CTX * share)))
        result = await team.run(text)
        record = team.runtime.ledger.run(result.run_id)
    if share < 1:
        assert result.status == "done"
        assert text in server.chats[0]["messages"][-1]["content"]
        return
    assert result.status == "flagged"
    assert (record.calls[0].error_class, len(record.calls)) == (ContextOverflow.__name__, 1)
    assert "num_ctx" in result.steps[0].mend
    assert all(call.output_tokens is None for call in record.calls)


REFUSED = 1
RETRIED = 3


@pytest.mark.parametrize(
    ("fault", "calls", "error"),
    [
        (Fault.status(404, 'model "small:1b" not found'), REFUSED, "ModelMissing"),
        (Fault.status(400, "no"), REFUSED, "RequestRefused"),
        (Fault.status(503, QUEUE_FULL), RETRIED, "Overloaded"),
        (Fault.status(500, CRASHED), RETRIED, "LoadFailed"),
        (Fault.status(429, "too many requests"), RETRIED, "Overloaded"),
        (Fault.no_done(after=0), RETRIED, "StreamBroken"),
        (Fault.garbage(after=0), RETRIED, "StreamBroken"),
        (Fault.reset(after=0), RETRIED, "StreamBroken"),
        (Fault.eof(after=0), RETRIED, "StreamBroken"),
        (Fault.reset(after=2), REFUSED, "StreamBroken"),
        (Fault.error_line(after=2), REFUSED, "StreamBroken"),
        (Fault.eof(after=2), REFUSED, "StreamBroken"),
        (Fault.garbage(after=2), REFUSED, "StreamBroken"),
        (Fault.no_done(after=2), REFUSED, "StreamBroken"),
    ],
)
async def test_a_failing_engine_is_tried_within_bounds_and_flagged(
    server: FakeOllama, team_of: Callable[..., Team], fault: Fault, calls: int, error: str
) -> None:
    server.fail(*[fault] * 5)
    async with team_of(server.url) as team, asyncio.timeout(30):
        result = await team.run("one two three four")
        rows = team.runtime.ledger.run(result.run_id).calls
    assert result.status == "flagged"
    assert len(server.chats) == len(rows) == calls
    assert {row.error_class for row in rows} == {error}
    assert {row.attempt for row in rows} == {1}
    assert result.steps[0].why


async def test_what_a_dead_attempt_said_is_counted_and_not_shown(
    server: FakeOllama, team_of: Callable[..., Team]
) -> None:
    server.fail(Fault.reset(after=3))
    async with team_of(server.url) as team, asyncio.timeout(30):
        result = await team.run("one two three four five")
        (dead,) = team.runtime.ledger.run(result.run_id).calls
    assert (dead.status, dead.error_class, dead.output_tokens) == ("error", "StreamBroken", 3)
    assert result.totals.output_tokens == 3
    assert not result.answer or "one two" not in result.answer


@asynccontextmanager
async def slow_to_load(start: Open, *, load_s: float) -> AsyncGenerator[LocalRuntime]:
    """A model that takes 300 s to load, at a hundredth of real time, and one that takes none."""
    slow = FakeModel(name="slow:1b", reply=echo, load_s=300.0)
    quick = FakeModel(name="small:1b", reply=echo)
    async with FakeOllama([slow, quick], settings=ServerSettings(time_scale=1 / 100)) as server:
        config = f"[ollama]\nurl = '{server.url}'\nnum_ctx = 512\n[serving]\nload_s = {load_s}\n"
        async with start(config) as runtime:
            yield runtime


def ask(runtime: LocalRuntime, name: str) -> Any:
    async def asked() -> str:
        model = await runtime.model(f"ollama:{name}")
        request = ChatRequest(messages=(Message("user", "one"),))
        return (await complete(model.stream(request))).text

    return asked()


async def test_a_load_of_minutes_is_waited_for(start: Open) -> None:
    async with slow_to_load(start, load_s=20.0) as runtime, asyncio.timeout(30):
        assert await ask(runtime, "slow:1b") == "one"


async def test_a_load_that_hangs_ends_at_its_limit_and_other_models_go_on(start: Open) -> None:
    async with slow_to_load(start, load_s=2.0) as runtime, asyncio.timeout(30):
        with pytest.raises(DeadlineExceeded, match="was not loaded within") as caught:
            await ask(runtime, "slow:1b")
        assert caught.value.phase == "load"
        assert "load_s" in caught.value.mend
        assert await ask(runtime, "small:1b") == "one"


async def test_a_model_is_loaded_once_however_its_callers_differ(server: FakeOllama, start: Open) -> None:
    async with start(f'[ollama]\nurl = "{server.url}"\nnum_ctx = 512\n') as runtime:
        agents = [
            Agent(f"agent-{n}", job="Do it.", model="ollama:small:1b", max_tokens=20 + n, timeout_s=20 + n)
            for n in range(4)
        ]
        done = await asyncio.gather(*(agent.run("one", runtime=runtime) for agent in agents * 3))
    assert all(attempt.failure is None for attempt in done)
    assert server.scheduler.loads == ["small:1b"]
    assert {chat["options"]["num_ctx"] for chat in server.chats} == {512}


async def test_two_failures_are_mended_by_the_third_try(
    server: FakeOllama, team_of: Callable[..., Team]
) -> None:
    server.fail(Fault.status(503, QUEUE_FULL), Fault.status(500, CRASHED))
    async with team_of(server.url) as team:
        result = await team.run("one apple")
        rows = team.runtime.ledger.run(result.run_id).calls
    assert (result.status, result.answer) == ("done", "one apple")
    assert [row.status for row in rows] == ["error", "error", "ok"]
    assert result.totals.calls == 3


async def test_no_ollama_at_all_is_flagged_with_the_command_that_starts_one(
    team_of: Callable[..., Team],
) -> None:
    async with team_of("http://127.0.0.1:9") as team, asyncio.timeout(30):
        result = await team.run("one apple")
        rows = team.runtime.ledger.run(result.run_id).calls
    assert (result.status, result.steps[0].mend) == ("flagged", "ollama serve")
    assert len(rows) == RETRIED


async def test_an_engine_that_hangs_is_left_at_the_deadline_and_its_place_freed(
    server: FakeOllama, team_of: Callable[..., Team]
) -> None:
    server.fail(Fault.hang(after=1))
    async with team_of(server.url, timeout_s=0.5) as team, asyncio.timeout(30):
        result = await team.run("one apple")
        assert result.status == "flagged"
        assert "timeout_s=1" in result.steps[0].mend
        assert (await team.run("one pear")).status == "done"
    assert server.abandoned == 1


async def test_a_cancelled_run_frees_its_place_at_the_engine(
    server: FakeOllama, team_of: Callable[..., Team]
) -> None:
    server.fail(*[Fault.hang(after=1)] * 4)
    async with team_of(server.url) as team, asyncio.timeout(30):
        runs = [asyncio.create_task(team.run("one apple")) for _ in range(4)]
        await server.until(chats=4)
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        assert (await team.run("one pear")).answer == "one pear"
        assert {row.status for row in team.runtime.ledger.runs()} == {"interrupted", "done"}
    assert server.abandoned == 4


async def test_a_thousand_requests_at_once_lose_nothing_and_keep_their_order(
    server: FakeOllama, team_of: Callable[..., Team]
) -> None:
    count = 1000
    async with team_of(server.url) as team:
        await team.run("one warm-up")
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        results = await asyncio.gather(*(team.run(f"one {number}") for number in range(count)))
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        rows = team.runtime.ledger.runs(limit=count + 1)
    assert [result.answer for result in results] == [f"one {number}" for number in range(count)]
    assert len(server.chats) == count + 1
    assert {row.status for row in rows} == {"done"}
    assert grown_kb / count < 500, "kilobytes a request in flight"


async def test_a_model_that_cannot_be_loaded_closes_only_itself(server: FakeOllama, start: Open) -> None:
    server.library.models["broken:1b"] = FakeModel(name="broken:1b", reply=echo)
    async with start(f'[ollama]\nurl = "{server.url}"\n[serving]\nattempts = 1\n') as runtime:
        server.fail(*[Fault.status(500, CRASHED)] * 3)
        broken = await runtime.model("ollama:broken:1b")
        for _ in range(5):
            with pytest.raises(LoadFailed):
                await complete(broken.stream(ASK))
        assert len(server.chats) == 3, "then it is left alone for a while"
        assert (await complete((await runtime.model("ollama:small:1b")).stream(ASK))).text == "hello"
