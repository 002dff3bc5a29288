"""What Shoal adds to a model call: overhead of a step, router latency, memory, a thousand runs at once.

Everything is measured in one run against one zero-latency fake Ollama in a process of its own, interleaved,
so that a slow or busy machine changes both sides of every ratio alike.

    python benchmarks/overhead.py [--rounds 200] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from shoal import Agent, Router, Team
from shoal.config import Settings, load_settings
from shoal.core.decision import Decision, Subtask
from shoal.testing.fake_ollama import FakeModel, ServerSettings, serve_in_process

MODEL = "tiny:1b"
REQUEST = "where is my order AB-1234?"
JOBS = {
    "orders": "Answer questions about orders and deliveries.",
    "returns": "Answer questions about returns and refunds.",
    "cards": "Answer questions about lost or stolen cards.",
    "rates": "Answer questions about exchange rates.",
}
WARM_UP = 20
AT_ONCE = 1_000
LIMITS = {"step_ms": 3.0, "durable_step_ms": 12.0, "decision_ms": 5.0, "memory_mb": 250.0}

MEMORY = """
import resource
from shoal import Agent, Team
def echo(text: str) -> str:
    return text
team = Team([Agent("echo", job="Repeat a text.", model=echo)])
team.run_sync("Repeat this text.")
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")))
"""


class OneAgent:
    """Routes without looking: what is left is everything but the router."""

    agents = ("orders",)
    digest = "one"

    def decide(self, text: str) -> Decision:
        del text
        return Decision(
            agent="orders", confidence=0.9, calibrated=False, best="orders", margin=1.0, threshold=0.5
        )

    def split(self, text: str) -> tuple[Subtask, ...]:
        return (Subtask(id="1", text=text, start=0, end=len(text)),)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    server = ServerSettings(time_scale=0.0, num_parallel=AT_ONCE, one_write=True)
    with serve_in_process([FakeModel(name=MODEL, reply="It left today.")], settings=server) as url:
        figures = asyncio.run(measure(url, options.rounds))
    figures["memory_mb"] = measure_memory()
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


async def measure(url: str, rounds: int) -> dict[str, Any]:
    router = Router.fit(jobs=JOBS)
    with tempfile.TemporaryDirectory() as plain_dir, tempfile.TemporaryDirectory() as durable_dir:
        plain = build_team(url, Path(plain_dir), durable=False)
        durable = build_team(url, Path(durable_dir), durable=True)
        body = record_body(plain)
        async with plain, durable, httpx.AsyncClient(base_url=url, timeout=None) as client:
            agent, runtime = plain.agents["orders"], plain.runtime
            sides: dict[str, Callable[[], Awaitable[object]]] = {
                "bare": lambda: bare_call(client, body),
                "agent": lambda: agent.run(REQUEST, runtime=runtime),
                "step": lambda: plain.run(REQUEST),
                "durable_step": lambda: durable.run(REQUEST),
                "graph_alone": empty_graph(),
                "router": lambda: route(router),
            }
            times = await interleave(sides, rounds)
            crowd = await run_crowd(plain)
    p50 = {name: statistics.median(taken) * 1000 for name, taken in times.items()}
    quartiles = {name: [q * 1000 for q in statistics.quantiles(taken, n=4)] for name, taken in times.items()}
    return {
        "p50_ms": p50,
        "quartiles_ms": quartiles,
        "overhead_ms": {name: p50[name] - p50["bare"] for name in ("agent", "step", "durable_step")},
        "ratio_to_bare": {name: p50[name] / p50["bare"] for name in ("agent", "step", "durable_step")},
        "crowd": crowd,
    }


def build_team(url: str, folder: Path, *, durable: bool) -> Team:
    (folder / "shoal.toml").write_text(f'[ollama]\nurl = "{url}"\nparallel = 64\n', encoding="utf-8")
    settings: Settings = load_settings(folder)
    agents = [Agent(name, job=job, model=f"ollama:{MODEL}") for name, job in JOBS.items()]
    return Team(agents, router=OneAgent(), settings=settings, durable=durable)


def record_body(team: Team) -> dict[str, object]:
    """What the bare client sends: the same prompt and options, so that the server works the same."""
    from shoal.agents.prompt import build_messages

    agent = team.agents["orders"]
    messages = build_messages(agent, REQUEST, (), None)
    return {
        "model": MODEL,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "stream": True,
        "logprobs": True,
        "top_logprobs": 2,
        "options": {"num_ctx": 4096, "num_predict": agent.max_tokens, "temperature": 0},
    }


async def bare_call(client: httpx.AsyncClient, body: Mapping[str, object]) -> str:
    text = ""
    async with client.stream("POST", "/api/chat", json=body) as response:
        async for line in response.aiter_lines():
            text += json.loads(line)["message"]["content"]
    return text


def empty_graph() -> Callable[[], Awaitable[object]]:
    """LangGraph alone: as many nodes one after the other as a team's run of one subtask has."""
    from typing import TypedDict

    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        request: str

    async def pass_on(state: State) -> State:
        return state

    graph = StateGraph(State)
    names = ["route", "agent", "judge", "merge"]
    for name in names:
        graph.add_node(name, pass_on)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    compiled = graph.compile()
    return lambda: compiled.ainvoke({"request": REQUEST})


async def route(router: Router) -> None:
    for subtask in router.split(REQUEST):
        router.decide(subtask.text)


async def interleave(
    sides: Mapping[str, Callable[[], Awaitable[object]]], rounds: int
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + WARM_UP):
        for name, call in sides.items():
            began = time.perf_counter()
            await call()
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - began)
    return times


async def run_crowd(team: Team) -> dict[str, float | int]:
    """A thousand runs at once: how many came back, how fast, and what memory they took."""
    before = resident_mb()
    began = time.perf_counter()
    results = await asyncio.gather(*(team.run(f"{REQUEST} {number}") for number in range(AT_ONCE)))
    took = time.perf_counter() - began
    return {
        "runs": AT_ONCE,
        "answered": sum(result.status == "done" for result in results),
        "runs_per_s": AT_ONCE / took,
        "memory_added_mb": resident_mb() - before,
    }


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure_memory() -> float:
    """Resident memory of a process that has answered one request without a language model."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shoal.toml").write_text("", encoding="utf-8")
        command = [sys.executable, "-c", MEMORY]
        return float(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def show(figures: Mapping[str, Any]) -> None:
    p50, over, ratio = figures["p50_ms"], figures["overhead_ms"], figures["ratio_to_bare"]
    print(f"machine                          {figures['machine']}")
    print(f"bare httpx call                  {p50['bare']:8.2f} ms")
    for name, title in (("agent", "agent.run"), ("step", "team.run"), ("durable_step", "team.run, durable")):
        print(f"{title:<32} {p50[name]:8.2f} ms   +{over[name]:.2f} ms   {ratio[name]:.2f} x bare")
    print(f"  of which LangGraph alone       {p50['graph_alone']:8.2f} ms")
    print(f"router, split and decide         {p50['router']:8.2f} ms   (not in the steps above)")
    print(f"memory without a language model  {figures['memory_mb']:8.0f} MB")
    crowd = figures["crowd"]
    print(
        f"{crowd['runs']} runs at once: {crowd['answered']} answered, {crowd['runs_per_s']:.0f} a second,"
        f" {crowd['memory_added_mb']:.0f} MB more"
    )


if __name__ == "__main__":
    main()
