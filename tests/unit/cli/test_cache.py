"""The answer cache and the trace, as `shoal` shows them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]

AGENTS = """
from shoal import Agent, Tool
from shoal.core.port import ModelInfo
from shoal.core.usage import Usage
from shoal.testing.scripted import ScriptedModel, Turn

def book(place: str) -> str:
    "Book a table."
    return f"booked at {place}"

usage = Usage(
    input_tokens=420, output_tokens=3, cached_tokens=409, load_s=1.25, prefill_s=0.5, decode_s=0.75
)
clerk = Agent(
    "clerk",
    job="Answer a question.",
    model=ScriptedModel(
        lambda _: Turn(text="It is so.", usage=usage),
        name="scripted:clerk",
        info=ModelInfo(name="scripted:clerk", digest="sha256:1"),
    ),
    cache=True,
)
waiter = Agent(
    "waiter",
    job="Book a table.",
    model=ScriptedModel(['{"tool": "book", "args": {"place": "the window"}}', '{"answer": "Done."}']),
    tools=[Tool.of(book, effect="idempotent")],
)
"""


@pytest.fixture
def project(project: Path) -> Path:
    (project / "agents" / "all.py").write_text(AGENTS)
    return project


def test_a_hit_is_marked_and_what_is_kept_can_be_seen_and_forgotten(shoal: Shoal) -> None:
    answers = [json.loads(shoal("run", "--agent", "clerk", "Is it so?", "--json").stdout) for _ in range(2)]
    assert answers[0]["answer"] == answers[1]["answer"] == "It is so."
    asked, given = (shoal("trace", answer["run_id"]).stdout for answer in answers)
    assert "from the answer cache" not in asked
    assert "from the answer cache, which saved" in given
    assert "answer cache: 1 answers" in shoal("doctor").stdout
    assert json.loads(shoal("cache", "show", "--json").stdout)["answers"] == 1
    assert shoal("cache", "clear").stdout.startswith("1 answers forgotten")
    assert shoal("cache", "show").stdout.startswith("0 answers")


def test_trace_shows_what_a_call_waited_and_worked_and_what_is_unknown(shoal: Shoal) -> None:
    run_id = json.loads(shoal("run", "--agent", "clerk", "Is it so?", "--json").stdout)["run_id"]
    lines = shoal("trace", run_id).stdout.splitlines()
    (heads,) = [line for line in lines if line.startswith("call ") and "prefill" in line]
    (times,) = [line for line in lines if line.startswith("clerk answer 1")]
    cells = {
        name: times[heads.index(name) :][:11].strip() for name in ("swap", "prefill", "cached", "decode")
    }
    assert heads.split() == ["call", "queue", "swap", "prefill", "cached", "decode", "first", "token"]
    assert "1.25 s" in cells["swap"]
    assert "0.50 s" in cells["prefill"]
    assert "409" in cells["cached"]
    assert "0.75 s" in cells["decode"]
    run_id = json.loads(shoal("run", "--agent", "waiter", "A table, please", "--json").stdout)["run_id"]
    shown = shoal("trace", run_id).stdout
    (times,) = [line for line in shown.splitlines() if line.startswith("waiter answer 1")][:1]
    assert times.count("?") >= 3


def test_trace_shows_the_effects_of_tools(shoal: Shoal) -> None:
    run_id = json.loads(shoal("run", "--agent", "waiter", "A table, please", "--json").stdout)["run_id"]
    shown = shoal("trace", run_id).stdout
    (effect,) = [line for line in shown.splitlines() if line.startswith("effect ")]
    assert "effect book (idempotent) of waiter/1" in effect
    assert "booked at the window" in effect
    assert json.loads(shoal("trace", run_id, "--json").stdout)["effects"][0]["tool"] == "book"
