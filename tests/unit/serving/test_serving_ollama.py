"""The scheduler in front of a fake Ollama in which one model fits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal.config import load_settings
from shoal.core.chat import ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import LoadFailed, ModelMissing
from shoal.runtime import LocalRuntime
from shoal.testing.fake_ollama import NO_MEMORY, FakeModel, FakeOllama, Fault, Seen, ServerSettings
from shoal.tracing.scope import scope

SCALE = 0.002
"""Real seconds of a second of the server."""


def echo(seen: Seen) -> str:
    return seen.messages[-1].content


MODELS = [FakeModel(name=name, reply=echo, weights=name) for name in ("a:1b", "b:1b", "big:9b")]
Open = Callable[..., Any]


@pytest.fixture
async def server() -> AsyncGenerator[FakeOllama]:
    settings = ServerSettings(max_loaded_models=1, num_parallel=2, time_scale=SCALE)
    async with FakeOllama(MODELS, settings=settings) as server:
        yield server


@asynccontextmanager
async def runtime_of(server: FakeOllama, folder: Path, serving: str = "") -> AsyncGenerator[LocalRuntime]:
    folder.mkdir(exist_ok=True)
    (folder / "shoal.toml").write_text(
        f'[ollama]\nurl = "{server.url}"\nnum_ctx = 2048\n[serving]\n{serving}\n'
    )
    runtime = LocalRuntime(load_settings(folder))
    try:
        yield runtime
    finally:
        await runtime.aclose()


async def ask(
    runtime: LocalRuntime, model: str, text: str = "hello", system: str = "Be brief."
) -> ChatResponse:
    request = ChatRequest(messages=(Message("system", system), Message("user", text)), max_tokens=8)
    return await complete((await runtime.model(f"ollama:{model}")).stream(request))


async def until_asked(server: FakeOllama, path: str, *, times: int) -> None:
    while sum(request.path == path for request in server.requests) < times:
        await asyncio.sleep(0.001)


async def test_models_that_do_not_fit_together_take_turns(server: FakeOllama, tmp_path: Path) -> None:
    async with runtime_of(server, tmp_path) as runtime:
        models = ("a:1b", "b:1b") * 15
        replies = await asyncio.gather(*(ask(runtime, model, f"{n}") for n, model in enumerate(models)))
        assert [reply.text for reply in replies] == [f"{n}" for n in range(30)]
        assert len(server.scheduler.loads) <= 3, "that one does not fit beside the other is learnt once"
        assert not any("keep_alive" in body for body in server.chats)
    before = len(server.scheduler.loads)
    async with runtime_of(server, tmp_path) as runtime:  # it is known from the last run
        await asyncio.gather(*(ask(runtime, model) for model in models))
        assert len(server.scheduler.loads) - before <= 2


async def test_agents_of_one_model_keep_to_their_slots(server: FakeOllama, tmp_path: Path) -> None:
    rules = " ".join(f"Rule {n} holds." for n in range(100))
    async with runtime_of(server, tmp_path) as runtime:
        systems = [f"Agent {n % 3}. {rules}" for n in range(24)]
        replies = await asyncio.gather(*(ask(runtime, "a:1b", system=system) for system in systems))
        read_s = [reply.usage.prefill_s or 0.0 for reply in replies]
        assert sum(prefill_s > max(read_s) / 2 for prefill_s in read_s) <= 4, "two slots for three agents"


async def test_a_swap_counts_as_loading_for_the_call_it_was_made_for(tmp_path: Path) -> None:
    load_s = 0.42
    settings = ServerSettings(max_loaded_models=1, num_parallel=2, time_scale=1.0)
    models = [FakeModel(name=name, reply="yes", weights=name, load_s=load_s) for name in ("a:1b", "b:1b")]
    async with FakeOllama(models, settings=settings) as server, runtime_of(server, tmp_path) as runtime:
        await ask(runtime, "a:1b")
        replies = await asyncio.gather(*(ask(runtime, "b:1b") for _ in range(3)))
    loading_s = sorted(reply.usage.load_s or 0.0 for reply in replies)
    assert loading_s[2] >= load_s > 2 * loading_s[1], "once, however many waited for it"
    assert min(reply.usage.queue_s or 0.0 for reply in replies) < load_s


async def test_escalations_to_a_local_model_are_gathered(server: FakeOllama, tmp_path: Path) -> None:
    async def escalate(runtime: LocalRuntime) -> None:
        with scope(purpose="escalation"):
            request = ChatRequest(messages=(Message("user", "hard"),), max_tokens=8)
            events = (await runtime.model("ollama:big:9b")).stream(request)
        await complete(events)

    async with runtime_of(server, tmp_path, "memory_gb = 0.2") as runtime:
        small = [ask(runtime, model) for model in ("a:1b", "b:1b") * 4]
        await asyncio.gather(*(escalate(runtime) for _ in range(4)), *small)
        assert server.scheduler.loads.count("big:9b") == 1 or server.scheduler.loads[0] == "big:9b"
        assert [body["model"] for body in server.chats].count("big:9b") == 4


async def test_a_model_that_cannot_be_loaded_fails_those_who_wait_for_it_alone(
    server: FakeOllama, tmp_path: Path
) -> None:
    async with runtime_of(server, tmp_path, "attempts = 1\nmemory_gb = 0.2") as runtime:
        await ask(runtime, "a:1b")
        server.fail(None, Fault.status(500, NO_MEMORY), on="/api/generate")  # unload a, load b
        failed = await asyncio.gather(*(ask(runtime, "b:1b") for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in failed] == [LoadFailed] * 3
        assert (await ask(runtime, "a:1b")).text == "hello"


async def test_a_model_removed_while_calls_wait_for_it(server: FakeOllama, tmp_path: Path) -> None:
    async with runtime_of(server, tmp_path, "memory_gb = 0.2") as runtime:
        await asyncio.gather(ask(runtime, "b:1b"), ask(runtime, "a:1b"))
        del server.library.models["b:1b"]
        with pytest.raises(ModelMissing, match="b:1b"):
            await ask(runtime, "b:1b")
        assert (await ask(runtime, "a:1b")).text == "hello"


async def test_cancelled_in_a_swap_nothing_is_stuck(server: FakeOllama, tmp_path: Path) -> None:
    async with runtime_of(server, tmp_path, "memory_gb = 0.2") as runtime:
        await ask(runtime, "a:1b")
        waiting = [asyncio.create_task(ask(runtime, "b:1b")) for _ in range(5)]
        await until_asked(server, "/api/generate", times=2)  # loaded a, now unloads it
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(10):
            assert (await ask(runtime, "a:1b")).text == "hello"
    async with asyncio.timeout(10), runtime_of(server, tmp_path, "memory_gb = 0.2") as runtime:
        asked = sum(request.path == "/api/generate" for request in server.requests)
        task = asyncio.create_task(ask(runtime, "b:1b"))
        await until_asked(server, "/api/generate", times=asked + 1)
        task.cancel()  # and the runtime is closed in the middle of the swap, as by Ctrl-C
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10), runtime_of(server, tmp_path) as runtime:
        assert (await ask(runtime, "b:1b")).text == "hello"


async def test_ten_thousand_cancelled_at_once_leave_the_queue(server: FakeOllama, tmp_path: Path) -> None:
    async with runtime_of(server, tmp_path, "memory_gb = 0.2") as runtime:
        await ask(runtime, "a:1b")
        calls = [asyncio.create_task(ask(runtime, model)) for model in ("a:1b", "b:1b") * 2_000]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*calls, return_exceptions=True)
            (scheduler,) = runtime.schedulers.made
            assert (scheduler.schedule.waiting, scheduler.schedule.running) == (0, 0)
            assert (await ask(runtime, "b:1b")).text == "hello"


async def test_two_that_share_an_ollama_do_not_swap_each_other_out(tmp_path: Path) -> None:
    async def work(runtime: LocalRuntime, model: str) -> None:
        for _ in range(10):
            await asyncio.gather(*(ask(runtime, model) for _ in range(2)))

    # A swap has to cost more than the moment between two calls of one caller.
    slow = ServerSettings(max_loaded_models=1, num_parallel=2, time_scale=0.2)
    async with (
        FakeOllama(MODELS, settings=slow) as server,
        runtime_of(server, tmp_path, "memory_gb = 0.2") as one,
        runtime_of(server, tmp_path, "memory_gb = 0.2") as other,
    ):
        await asyncio.gather(work(one, "a:1b"), work(other, "b:1b"))
        assert len(server.scheduler.loads) <= 4
