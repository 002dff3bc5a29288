"""How much later the first token of a team's stream is than the bare engine's.

Both sides are asked the same prompt in turn, in one run. On a busy machine every change of thread waits, and
a team has more of them; processor time tells what is its own. The team routes without looking: a learnt
router's decision is measured by `overhead.py`.

    python benchmarks/streaming.py [--rounds 100] [--json FILE]
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from shoal import Agent, Team, Token
from shoal.agents.prompt import build_messages
from shoal.config import load_settings
from shoal.core.chat import ChatDelta, ChatRequest
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.models.weights import find_weights
from shoal.testing.fake_ollama import FakeModel, ServerSettings, serve_in_process
from shoal.testing.fixed_router import FixedRouter

Moment = tuple[float, float]
"""Seconds on the clock, and of this process's processor time."""
OLLAMA_MODEL, EMBEDDED_MODEL = "tiny:1b", "smollm2:135m"
JOB = "Answer questions about orders and deliveries in one short sentence."
REQUEST = "orders where is my parcel? It was sent on Monday."
ANSWER_TOKENS = 4
WARM_UP = 10
LIMIT_MS = 5.0
"""Later than the bare engine, mode live."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    figures: dict[str, Any] = asyncio.run(measure(options.rounds))
    figures["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    show(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


async def measure(rounds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    server = ServerSettings(time_scale=0.0, one_write=True)
    with serve_in_process([FakeModel(name=OLLAMA_MODEL, reply="It left today.")], settings=server) as url:
        agent = build_agent(f"ollama:{OLLAMA_MODEL}")
        async with httpx.AsyncClient(base_url=url, timeout=None) as client:
            bare = partial(first_line, client, ollama_body(agent))
            figures["fake Ollama"] = await compare(agent, bare, f'[ollama]\nurl = "{url}"\n', rounds)
    gguf = find_weights(EMBEDDED_MODEL, load_settings().weights_path)
    if gguf is None:
        print(f"the embedded engine is left out: shoal models pull embedded:{EMBEDDED_MODEL}")
        return figures
    engine = EmbeddedModel(f"embedded:{EMBEDDED_MODEL}", EngineSettings(gguf=gguf))
    agent = build_agent(engine)
    figures["embedded"] = await compare(agent, partial(first_delta, engine, agent), "", rounds)
    await engine.aclose()
    return figures


async def compare(
    agent: Agent, bare: Callable[[], Awaitable[Moment]], config: str, rounds: int
) -> dict[str, Any]:
    """Milliseconds to the first token, and how much later than the bare engine's it is: quartiles."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shoal.toml").write_text(config, encoding="utf-8")
        settings, router = load_settings(Path(folder)), FixedRouter([agent.name])
        plain = Team([agent], router=router, settings=settings, durable=False)
        durable = Team([agent], router=router, settings=settings, durable=True)
        async with plain, durable:
            sides = {
                "bare": bare,
                "team": partial(first_token, plain),
                "durable team": partial(first_token, durable),
            }
            times = await interleave(sides, rounds)
    return {
        "first_token_ms": {
            name: statistics.median(took for took, _ in taken) * 1e3 for name, taken in times.items()
        },
        "later_ms": {name: later(times, name, 0) for name in times if name != "bare"},
        "later_cpu_ms": {name: later(times, name, 1) for name in times if name != "bare"},
    }


def build_agent(model: str | EmbeddedModel) -> Agent:
    return Agent("orders", job=JOB, model=model, max_tokens=ANSWER_TOKENS)


def build_request(agent: Agent) -> ChatRequest:
    """What the team asks, for the bare side to ask the same."""
    messages = build_messages(agent, REQUEST, (), None)
    return ChatRequest(messages=messages, max_tokens=ANSWER_TOKENS, top_logprobs=2)


def ollama_body(agent: Agent) -> dict[str, object]:
    messages = [
        {"role": message.role, "content": message.content} for message in build_request(agent).messages
    ]
    options = {"num_ctx": 4096, "num_predict": ANSWER_TOKENS, "temperature": 0}
    return {
        "model": OLLAMA_MODEL,
        "messages": messages,
        "stream": True,
        "logprobs": True,
        "top_logprobs": 2,
        "options": options,
    }


async def first_line(client: httpx.AsyncClient, body: Mapping[str, object]) -> Moment:
    began, first = now(), None
    async with client.stream("POST", "/api/chat", json=body) as reply:
        async for line in reply.aiter_lines():
            if first is None and json.loads(line)["message"]["content"]:
                first = now()
    return since(began, first)


async def first_delta(engine: EmbeddedModel, agent: Agent) -> Moment:
    began, first = now(), None
    async for event in engine.stream(build_request(agent)):
        if first is None and isinstance(event, ChatDelta):
            first = now()
    return since(began, first)


async def first_token(team: Team) -> Moment:
    began, first = now(), None
    async for event in team.stream(REQUEST, mode="live"):
        if first is None and isinstance(event, Token):
            first = now()
    return since(began, first)


def now() -> Moment:
    return time.perf_counter(), time.process_time()


def since(began: Moment, first: Moment | None) -> Moment:
    assert first is not None, "nothing was said"
    return first[0] - began[0], first[1] - began[1]


async def interleave(
    sides: Mapping[str, Callable[[], Awaitable[Moment]]], rounds: int
) -> dict[str, list[Moment]]:
    times: dict[str, list[Moment]] = {name: [] for name in sides}
    for number in range(rounds + WARM_UP):
        for name, ask in sides.items():
            took = await ask()
            if number >= WARM_UP:
                times[name].append(took)
    return times


def later(times: Mapping[str, list[Moment]], name: str, clock: int) -> list[float]:
    """Quartiles of how much later than the bare engine's, in milliseconds, round by round."""
    differences = [
        (one[clock] - other[clock]) * 1e3 for one, other in zip(times[name], times["bare"], strict=True)
    ]
    return statistics.quantiles(differences, n=4)


def show(figures: Mapping[str, Any]) -> None:
    print(f"machine            {figures['machine']}")
    for engine in ("fake Ollama", "embedded"):
        if engine not in figures:
            continue
        for name, median in figures[engine]["first_token_ms"].items():
            line = f"{engine:<12} {name:<14} first token {median:8.2f} ms"
            if name != "bare":
                low, middle, high = figures[engine]["later_ms"][name]
                work = figures[engine]["later_cpu_ms"][name][1]
                line += f"   later by {middle:5.2f} ms ({low:.2f} to {high:.2f}; limit {LIMIT_MS:g})"
                line += f", {work:.2f} ms of them work"
            print(line)


if __name__ == "__main__":
    main()
