"""What requests and answers may hold without breaking what is printed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


def test_square_brackets_are_no_markup(shoal: Shoal) -> None:
    request = "Read the number [/b] of [red]order A7"
    for args in (("run", request), ("runs",)):
        done = shoal(*args)
        assert done.returncode == 0, done.stderr
    assert "[/b] of [red]order A7" in done.stdout
    run_id = json.loads(shoal("runs", "--json").stdout)[0]["id"]
    assert "[/b] of [red]order A7" in shoal("trace", run_id).stdout


def test_half_a_surrogate_pair_is_printed_as_its_escape(shoal: Shoal, project: Path) -> None:
    (project / "agents" / "odd.py").write_text(
        "from shoal import Agent\n"
        "def half(text: str) -> str:\n"
        "    return 'half \\ud83d'\n"
        'odd = Agent("odd", job="Say half.", model=half)\n'
    )
    done = shoal("run", "--agent", "odd", "hello", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"].startswith("half ")
    assert "half " in shoal("run", "--agent", "odd", "hello").stdout


def test_a_picture_that_cannot_be_written_is_named(shoal: Shoal) -> None:
    done = shoal("graph", "--out", "absent/team.mmd")
    assert done.returncode == 1
    assert "absent/team.mmd cannot be written" in done.stderr


def test_init_keeps_a_gitignore_that_is_there(shoal: Shoal, tmp_path: Path) -> None:
    made = tmp_path / "mine"
    made.mkdir()
    (made / ".gitignore").write_text("/build/\n")
    assert shoal("init", str(made), "--json").returncode == 0
    assert (made / ".gitignore").read_text() == "/build/\n"


@pytest.mark.parametrize(
    "args",
    [
        ("run", "hello", "--agent", "absent", "--json"),
        ("run", "--resume", "abc", "--json"),
        ("graph", "absent", "--json"),
        ("run", "hello", "--engine", "olama", "--json"),
    ],
)
def test_a_failure_says_nothing_on_stdout_and_everything_on_stderr(
    shoal: Shoal, args: tuple[str, ...]
) -> None:
    done = shoal(*args)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("shoal: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("args", [("nonsense",), ("demo", "--limit", "0")])
def test_a_wrong_command_line_exits_with_2(shoal: Shoal, args: tuple[str, ...]) -> None:
    assert shoal(*args).returncode == 2
