"""`shoal index`: add, query, verify."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def handbook(project: Path) -> Path:
    folder = project / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nParental leave is [14] weeks.\n", encoding="utf-8")
    return folder


def test_add_query_verify(shoal: Shoal, handbook: Path, project: Path) -> None:
    done = shoal("index", "add", "handbook", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["handbook"]["added"] == ["handbook/leave.md"]
    assert (project / ".shoal" / "index").is_dir()

    done = shoal("index", "query", "how long is parental leave?", "--json")
    (found,) = json.loads(done.stdout)
    assert found["source"] == "handbook/leave.md"
    assert found["heading"] == "Leave"
    assert 0.5 < found["score"] <= 1

    done = shoal("index", "query", "parental leave", "--in", "handbook")
    assert "Parental leave is [14] weeks." in done.stdout
    assert "handbook/leave.md:0-" in done.stdout

    assert shoal("index", "verify").returncode == 0
    (handbook / "leave.md").write_text("# Leave\n\nNone.\n", encoding="utf-8")
    done = shoal("index", "verify", "--json")
    assert done.returncode == 1
    (damages,) = json.loads(done.stdout).values()
    assert [damage["kind"] for damage in damages] == ["stale"]
    done = shoal("index", "verify", "handbook")
    assert "leave.md: stale" in done.stdout
    assert "mend: shoal index add handbook" in done.stdout
    assert "1 changed" in shoal("index", "add", "handbook").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query", "anything"), "there is no index in"),
        (("add", "nowhere"), "there is no nowhere"),
        (("query", "anything", "--in", "handbook"), "shoal index add handbook"),
        (("verify", "handbook"), "shoal index add handbook"),
    ],
)
@pytest.mark.usefixtures("handbook")
def test_what_is_missing_is_named(shoal: Shoal, arguments: tuple[str, ...], said: str) -> None:
    done = shoal("index", *arguments, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_files_of_other_types_are_named(shoal: Shoal, handbook: Path) -> None:
    (handbook / "photo.png").write_bytes(b"\x89PNG")
    done = shoal("index", "add", "handbook")
    assert done.returncode == 1
    assert "cannot index handbook/photo.png" in done.stderr
