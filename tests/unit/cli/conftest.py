"""A small project on disk, and the `shoal` command run in it as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

AGENTS = """
from pydantic import BaseModel
from shoal import Agent, Scored

class Order(BaseModel):
    order_id: str

def read(text: str) -> Scored[Order | None]:
    words = [word.strip(".,?") for word in text.split() if any(c.isdigit() for c in word)]
    return Scored(Order(order_id=words[0]), 0.95) if words else Scored(None, 0.0)

def shout(text: str) -> Scored[str]:
    return Scored(text.upper(), 0.9)

orders = Agent("orders", job="Read the number of an order.", model=read, output=Order)
shouter = Agent("shouter", job="Write a text in capital letters.", model=shout)
"""

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "agents").mkdir(parents=True)
    (root / "agents" / "__init__.py").touch()
    (root / "agents" / "all.py").write_text(AGENTS)
    (root / "shoal.toml").write_text('engine = "embedded"\n')
    return root


@pytest.fixture
def shoal(project: Path, tmp_path: Path) -> Shoal:
    """Run `shoal ARGS` in the project with a home of its own."""

    def run(
        *args: str, stdin: str | bytes = "", cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", "shoal", *args],
            input=data,
            capture_output=True,
            cwd=cwd or project,
            env={**os.environ, "HOME": str(tmp_path / "home"), "COLUMNS": "160", **(env or {})},
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run
