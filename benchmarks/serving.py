"""What the scheduler is worth: mixed work against the same work ordered by hand, and what it costs.

Everything is measured in one run on one engine, as ratios where a slow machine would change both sides.

    python benchmarks/serving.py --engine fake                        a fake Ollama with measured times
    python benchmarks/serving.py --engine embedded                    llama.cpp, two packaged models
    python benchmarks/serving.py --engine ollama [--url URL]          a real one; without a URL one is started
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import platformdirs

from shoal.config import load_settings
from shoal.core.chat import ChatRequest, ChatResponse, Message, complete
from shoal.core.errors import ShoalError
from shoal.models.ollama_library import OllamaLibrary
from shoal.models.weights import fetch_weights
from shoal.runtime import LocalRuntime
from shoal.serving.embedded_host import EmbeddedHost
from shoal.serving.schedule import Schedule, Start, Switch
from shoal.serving.task import Costs, Load, Task
from shoal.testing.fake_ollama import FakeModel, FakeOllama, Fault, ServerSettings

NAMES = ("smollm2:135m", "gemma3:270m")
SIZES_BYTES = (300_000_000, 480_000_000)
TASKS, RARE_AMONG, PREFILLS, EACH = 60, 500, 24, 30
MAX_WAIT_S = 5.0
FAKE_SCALE = 0.2
ONE_FITS_GB = 0.6
RULES = " ".join(
    f"Rule {n}: answer in one short sentence and keep to the facts you are given." for n in range(24)
)


@dataclass(frozen=True)
class Caller:
    """What an agent is to its engine: one call a task. An agent's repairs would blur what is counted here."""

    name: str
    model: str
    system: str


@dataclass
class Bench:
    """An engine, and how to make a runtime for it."""

    engine: str
    url: str = ""
    scale: float = 1.0
    """Real seconds that a second of the engine takes."""
    server: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])
    fake: FakeOllama | None = None

    @asynccontextmanager
    async def runtime(self, folder: Path, **serving: float) -> AsyncGenerator[LocalRuntime]:
        write_settings(folder, self.engine, self.url, serving)
        runtime = LocalRuntime(load_settings(folder))
        try:
            yield runtime
        finally:
            await runtime.aclose()

    def agents(self) -> list[Caller]:
        """Four, two on each model, with about 400 tokens of instructions."""
        kind = "embedded" if self.engine == "embedded" else "ollama"
        return [Caller(f"agent-{n}", f"{kind}:{NAMES[n // 2]}", f"Agent {n}. {RULES}") for n in range(4)]


def write_settings(folder: Path, engine: str, url: str, serving: dict[str, float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"memory_gb": ONE_FITS_GB, **serving} if engine == "embedded" else serving
    lines = [f"{name} = {value}" for name, value in values.items()]
    ollama = f'[ollama]\nurl = "{url}"\nnum_ctx = 2048\nparallel = 2\n' if url else ""
    text = f"{ollama}[embedded]\nnum_ctx = 2048\nparallel = 2\n[serving]\n" + "\n".join(lines)
    (folder / "shoal.toml").write_text(text + "\n", encoding="utf-8")


async def ask(runtime: LocalRuntime, agent: Caller, number: int) -> ChatResponse:
    asked = Message("user", f"Question {number}: what is {number} plus one?")
    messages = (Message("system", agent.system), asked)
    request = ChatRequest(messages=messages, max_tokens=16, top_logprobs=0)
    return await complete((await runtime.model(agent.model)).stream(request))


async def measure_all_at_once(bench: Bench, folder: Path) -> dict[str, Any]:
    return await measure_order(bench, folder, TASKS)


async def measure_eight_at_once(bench: Bench, folder: Path) -> dict[str, Any]:
    eight = await measure_order(bench, folder, 8)
    return {f"{name}_at_8": value for name, value in eight.items()}


async def measure_order(bench: Bench, folder: Path, at_once: int) -> dict[str, Any]:
    """60 tasks over four agents: round robin against ordered by hand, `at_once` handed in at a time."""
    agents = bench.agents()
    took: dict[str, float] = {}
    completed = loads = 0
    async with bench.runtime(folder) as runtime:
        for agent in agents:  # costs are learnt, and that one fits
            await ask(runtime, agent, 0)
        for order in ("grouped", "mixed"):
            turns = [agents[n % 4] for n in range(TASKS)]
            if order == "grouped":
                turns.sort(key=lambda agent: agent.name)
            before = sum(scheduler.loads for scheduler in runtime.schedulers.made)
            places = asyncio.Semaphore(at_once)

            async def one(agent: Caller, number: int, places: asyncio.Semaphore = places) -> None:
                async with places:
                    await ask(runtime, agent, number)

            began = time.perf_counter()
            calls = (one(agent, n) for n, agent in enumerate(turns))
            ended = await asyncio.gather(*calls, return_exceptions=True)
            took[order] = time.perf_counter() - began
            if order == "mixed":
                completed = ended.count(None)
                loads = sum(scheduler.loads for scheduler in runtime.schedulers.made) - before
    return {
        "tasks": TASKS,
        "completed": completed,
        "mixed_over_grouped": took["mixed"] / took["grouped"],
        "mixed_s": took["mixed"],
        "grouped_s": took["grouped"],
        "loads": loads,
    }


async def count_prefills(bench: Bench, folder: Path) -> dict[str, Any]:
    """Two agents on one base, alternating, all handed in at once: how many paid for their instructions."""
    agents = bench.agents()[:2]
    async with bench.runtime(folder) as runtime:
        await ask(runtime, bench.agents()[2], 0)  # the other model: nothing of these two is cached
        done = await asyncio.gather(*(ask(runtime, agents[n % 2], n) for n in range(PREFILLS)))
    times = [response.usage.prefill_s or 0.0 for response in done]
    return {"prefills_paid": sum(prefill_s > max(times) / 2 for prefill_s in times)}


async def measure_rare(bench: Bench, folder: Path) -> dict[str, Any]:
    """How long one task waits behind 500 of another model, with `max_wait_s` 5."""
    common, _, rare, _ = bench.agents()
    async with bench.runtime(folder, max_wait_s=MAX_WAIT_S) as runtime:
        await ask(runtime, common, 0)
        crowd = [asyncio.create_task(ask(runtime, common, n)) for n in range(RARE_AMONG)]
        await asyncio.sleep(0.1)
        response = await ask(runtime, rare, 0)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
    return {"rare_wait_s": response.usage.queue_s, "max_wait_s": MAX_WAIT_S}


async def measure_restart(bench: Bench, folder: Path) -> dict[str, Any]:
    """The engine dies under load and comes back: every task is answered or ends in an error with a name."""
    agents = bench.agents()
    async with bench.runtime(folder) as runtime:
        await ask(runtime, agents[0], 0)
        if bench.fake is not None:
            bench.fake.fail(
                None, Fault.reset(after=2), Fault.error_line(), Fault.reset(after=0), Fault.eof(after=1)
            )
        tasks = [asyncio.create_task(ask(runtime, agents[n % 2], n)) for n in range(20)]
        await asyncio.sleep(1.0 if bench.fake is None else 0.0)
        if bench.engine == "embedded":
            kill_children(runtime)
        elif bench.server is not None:
            bench.server.kill()
            bench.server.wait()
            await asyncio.sleep(1.0)
            bench.server = start_ollama(bench.environment)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    restart = {
        "tasks": len(tasks),
        "answered": sum(isinstance(end, ChatResponse) for end in ended),
        "typed_errors": sum(isinstance(end, ShoalError) for end in ended),
    }
    return {"restart": restart}


def kill_children(runtime: LocalRuntime) -> None:
    for scheduler in runtime.schedulers.made:
        if isinstance(scheduler.host, EmbeddedHost):
            for model in scheduler.host.models.values():
                if model.pid is not None:
                    os.kill(model.pid, signal.SIGKILL)


async def measure_processes(bench: Bench, folder: Path) -> dict[str, Any]:
    """Two processes with a model each: at the same time, against one after the other."""
    if bench.engine == "embedded":
        return {"two_process_ratio": None}  # each has engines of its own
    write_settings(folder, bench.engine, bench.url, {})
    both = sum([await run_workers(folder, [agent]) for agent in (0, 2)])
    return {"two_process_ratio": await run_workers(folder, [0, 2]) / both}


async def run_workers(folder: Path, agents: Sequence[int]) -> float:
    """Seconds from the first call to the last answer, without the start of the processes."""
    workers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--worker", str(folder), "--agent", str(agent)),
            stdout=asyncio.subprocess.PIPE,
        )
        for agent in agents
    ]
    said = [json.loads((await worker.communicate())[0]) for worker in workers]
    return max(each["ended"] for each in said) - min(each["began"] for each in said)


async def work(folder: Path, number: int) -> None:
    bench = Bench("ollama")
    runtime = LocalRuntime(load_settings(folder))
    agent = bench.agents()[number]
    began = time.time()
    await asyncio.gather(*(ask(runtime, agent, n) for n in range(EACH)))
    ended = time.time()
    await runtime.aclose()
    print(json.dumps({"began": began, "ended": ended}))


async def measure_policy(_bench: Bench, _folder: Path) -> dict[str, Any]:
    """CPU time of the policy per task, and its memory."""
    cost: dict[str, float] = {}
    size = 0.0
    for queued in (10, 1_000, 100_000):
        schedule = Schedule(capacity_bytes=10, max_queue=1_000_000)
        loads = [Load(host="h", base=str(n)) for n in range(4)]
        for load in loads:
            schedule.lane(load, costs=Costs(size_bytes=10))
        tracemalloc.start()
        for n in range(queued):
            schedule.add(Task(load=loads[n % 4], prefix=n % 64), n * 1e-4)
        size = tracemalloc.get_traced_memory()[0] / queued
        tracemalloc.stop()
        cost[str(queued)] = drive(schedule, rounds=5_000) * 1e6
    return {"schedule_us": cost, "bytes_per_task": size}


def drive(schedule: Schedule, *, rounds: int) -> float:
    """CPU seconds per task that is added, started and finished while the queue keeps its length."""
    now, done, began = 1_000.0, 0, time.process_time()
    while done < rounds:
        match schedule.next(now):
            case Start(task):
                now += 0.01
                schedule.finish(task, now)
                schedule.add(Task(load=task.load, prefix=task.prefix), now)
                done += 1
            case Switch(load):
                now += 0.4
                schedule.loaded(load, now)
            case None:
                now = schedule.wake_at(now) or now + 1.0
    return (time.process_time() - began) / rounds


PARTS = {
    "policy": measure_policy,
    "all": measure_all_at_once,
    "eight": measure_eight_at_once,
    "prefill": count_prefills,
    "rare": measure_rare,
    "two": measure_processes,
    "restart": measure_restart,
}


@asynccontextmanager
async def open_bench(engine: str, url: str | None) -> AsyncGenerator[Bench]:
    async with AsyncExitStack() as stack:
        match engine:
            case "fake":
                models = [
                    FakeModel(
                        name=name,
                        weights=name,
                        reply="It is that number.",
                        size_bytes=size // 2,
                        load_s=load_s,
                    )
                    for name, size, load_s in zip(NAMES, SIZES_BYTES, (0.42, 0.64), strict=True)
                ]
                settings = ServerSettings(max_loaded_models=1, num_parallel=2, time_scale=FAKE_SCALE)
                fake = await stack.enter_async_context(FakeOllama(models, settings=settings))
                yield Bench(engine, fake.url, scale=FAKE_SCALE, fake=fake)
            case "embedded":
                await fetch_all()
                yield Bench(engine)
            case _ if url is not None:
                yield Bench(engine, url)
            case _:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                bench = await start_bench(folder)
                try:
                    yield bench
                finally:
                    if bench.server is not None:
                        bench.server.terminate()
                        bench.server.wait()


async def start_bench(folder: Path) -> Bench:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        "HOME": str(folder),
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NUM_PARALLEL": "2",
    }
    bench = Bench("ollama", f"http://{address}", server=start_ollama(environment), environment=environment)
    library = OllamaLibrary(bench.url)
    for name, path in zip(NAMES, await fetch_all(), strict=True):
        await library.push(name, path)
    await library.aclose()
    return bench


def start_ollama(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    binary = shutil.which("ollama")
    if binary is None:
        sys.exit("there is no `ollama` on PATH: give --url, or --engine fake")
    process = subprocess.Popen(
        [binary, "serve"], env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(600):
        try:
            httpx.get(f"http://{environment['OLLAMA_HOST']}/api/version", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return process
    sys.exit("`ollama serve` does not answer")


async def fetch_all() -> list[Path]:
    folder = platformdirs.user_cache_path("shoal") / "weights"
    return [await fetch_weights(name, folder=folder) for name in NAMES]


async def measure(engine: str, url: str | None, names: Sequence[str], limit_s: float) -> dict[str, Any]:
    """The parts named, each bounded in time; a figure is told on the error stream as soon as it is known."""
    figures: dict[str, Any] = {"engine": engine}
    with tempfile.TemporaryDirectory() as name:
        async with open_bench(engine, url) as bench:
            for part in names:
                began = time.perf_counter()
                try:
                    async with asyncio.timeout(limit_s):
                        found = await PARTS[part](bench, Path(name) / part)
                except TimeoutError:
                    found = {f"{part}_unfinished_after_s": limit_s}
                took = time.perf_counter() - began
                print(f"{part} ({took:.1f} s): {json.dumps(found)}", file=sys.stderr, flush=True)
                figures |= found
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--engine", choices=["ollama", "embedded", "fake"], default="fake")
    parser.add_argument("--url", help="of an Ollama that is running and has the models")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="only these")
    parser.add_argument("--limit-s", type=float, default=240.0, help="for each part (240)")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--agent", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        asyncio.run(work(options.worker, options.agent))
        return
    figures = asyncio.run(measure(options.engine, options.url, options.parts, options.limit_s))
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


if __name__ == "__main__":
    main()
