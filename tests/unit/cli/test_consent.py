"""A text may leave this machine only if a person says so: at the prompt, or with a command."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]

SHOAL_TOML = """
engine = "embedded"
large = "openai:big"
[openai]
url = "https://large.invalid/v1"
[escalation]
consent = "ask"
[serving]
attempts = 1
"""
HARD = "Read the number of the order, which nobody wrote down"


@pytest.fixture
def asking(project: Path) -> Path:
    (project / "shoal.toml").write_text(SHOAL_TOML)
    return project


def test_without_a_terminal_it_prints_what_waits_and_the_command_that_goes_on(
    asking: Path, shoal: Shoal
) -> None:
    done = shoal("run", "--agent", "orders", HARD)
    assert done.returncode == 0, done.stderr
    assert "To openai:big, for orders" in done.stdout
    assert f"│ {HARD}" in done.stdout
    (row,) = json.loads(shoal("runs", "--json").stdout)
    assert row["status"] == "waiting"
    assert f"shoal run --resume {row['id'][:8]} --allow" in done.stdout

    waiting = json.loads(shoal("run", "--agent", "orders", "--resume", row["id"], "--json").stdout)
    assert (waiting["status"], waiting["consent"][0]["model"]) == ("waiting", "openai:big")
    denied = shoal("run", "--agent", "orders", "--resume", row["id"][:8], "--deny")
    assert "A person forbade it" in denied.stdout
    again = shoal("run", "--agent", "orders", "--resume", row["id"][:8], "--allow")
    assert again.returncode == 1
    assert "has ended" in again.stderr
    trace = shoal("trace", row["id"][:8]).stdout
    assert "A person forbade sending this to openai:big." in trace


def test_a_large_model_that_cannot_be_reached_is_flagged_after_consent(asking: Path, shoal: Shoal) -> None:
    shoal("run", "--agent", "orders", HARD)
    (row,) = json.loads(shoal("runs", "--json").stdout)
    result = json.loads(shoal("run", "--agent", "orders", "--resume", row["id"], "--allow", "--json").stdout)
    assert result["status"] == "flagged"
    assert "the model could not answer" in result["steps"][0]["why"]


@pytest.mark.parametrize(
    ("word", "said"), [("n", "A person forbade it"), ("y", "the model could not answer")]
)
def test_at_a_terminal_it_asks(asking: Path, tmp_path: Path, word: str, said: str) -> None:
    theirs, ours = pty.openpty()
    env = {**os.environ, "HOME": str(tmp_path / "home"), "COLUMNS": "160", "TERM": "dumb"}
    command = [sys.executable, "-m", "shoal", "run", "--agent", "orders", HARD]
    with subprocess.Popen(command, stdin=ours, stdout=ours, stderr=ours, cwd=asking, env=env) as process:
        os.close(ours)
        shown = read_until(theirs, "[y/N]")
        os.write(theirs, f"{word}\n".encode())
        shown += read_until(theirs, "shoal trace")
        process.wait(60)
    os.close(theirs)
    assert f"│ {HARD}" in shown
    assert said in shown


def read_until(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
    return shown


def test_allow_and_deny_are_for_a_run_that_waits(shoal: Shoal) -> None:
    done = shoal("run", "Read the number of order A7", "--allow")
    assert done.returncode == 2
    assert "waiting run" in done.stderr
