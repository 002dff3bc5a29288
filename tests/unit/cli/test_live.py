"""`shoal run --stream` as a pipe, a program and a person at a terminal see it."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from shoal.cli.live import Board
from shoal.core.decision import Verdict
from shoal.graphs import Escalated, Judged, Retracted, Routed, TeamEvent, Token

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]
REQUEST = "Read the number of order A7. Write this in capital letters: hello."


def test_a_pipe_gets_each_accepted_answer_once(shoal: Shoal) -> None:
    done = shoal("run", "--stream", REQUEST)
    assert done.returncode == 0, done.stderr
    plain = shoal("run", REQUEST, "--json")
    for step in json.loads(plain.stdout)["steps"]:
        assert done.stdout.count(step["text"]) == 1
        assert f"accepted {step['agent']}" in done.stdout


def test_what_was_not_answered_is_said_too(shoal: Shoal) -> None:
    done = shoal("run", "--stream", "--agent", "orders", "Read the number of my order")
    assert done.stdout.count("Not answered:") == 1


def test_a_program_gets_an_event_a_line(shoal: Shoal) -> None:
    done = shoal("run", "--stream", "--json", REQUEST)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["event"] for event in events} == {"Routed", "Token", "Judged", "Answered"}
    assert events[-1]["event"] == "Answered"
    assert events[-1]["result"]["status"] == "done"
    told = [event["text"] for event in events if event["event"] == "Token"]
    assert sorted(told) == sorted(step["text"] for step in events[-1]["result"]["steps"])


def test_a_resumed_run_is_not_streamed(shoal: Shoal) -> None:
    done = shoal("run", "--stream", "--resume", "abc")
    assert done.returncode == 2
    assert "cannot be streamed" in done.stderr


def test_a_terminal_is_left_with_the_answer_and_the_steps(project: Path, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "shoal", "run", "--stream", REQUEST]
    env = {**os.environ, "HOME": str(tmp_path), "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=project, env=env, stdin=slave, stdout=slave) as process:
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65_536):
                seen += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
    os.close(master)
    assert process.returncode == 0
    assert b'{"order_id":"A7"}' in seen.replace(b"\x1b[0m", b"")
    assert b"shoal trace" in seen


@pytest.mark.parametrize(
    ("event", "struck", "stands"),
    [
        (Retracted(subtask_id="1", reason="a check failed"), "a poor answer", ""),
        (Token(subtask_id="1", text=", and more"), "", "a poor answer, and more"),
    ],
)
def test_what_was_taken_back_is_struck_out(event: TeamEvent, struck: str, stands: str) -> None:
    board = Board()
    decided = Routed(subtask_id="1", text="do\nit", agent="one", confidence=None, calibrated=False, reason="")
    verdict = Verdict(action="escalate", reason="A check failed.")
    for told in (decided, Token(subtask_id="1", text="a poor answer"), event):
        board.note(told)
    board.note(Judged(subtask_id="1", agent="one", verdict=verdict, escalated=False))
    board.note(Escalated(subtask_id="1", agent="one", to_model="big:model"))
    console = Console(width=80, force_terminal=True, color_system="standard", record=True)
    console.print(board)
    lines = console.export_text(styles=True).splitlines()
    shown = [line for line in lines if "answer" in line]
    assert "do it" in lines[0]
    assert "asking big:model" in lines[1]
    assert len(shown) == 1
    assert ("\x1b[9;31m" in shown[0]) == bool(struck)
    assert (struck or stands) in shown[0]
