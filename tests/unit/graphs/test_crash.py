"""A process that dies between two steps: nothing is lost, and finished steps are not done again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shoal import Agent, Team
from shoal.config import load_settings
from shoal.router.escalation import Escalation
from shoal.testing.fixed_router import FixedRouter

STEPS = 4
PROGRAM = """
import sys
from tests_crash import build
build(sys.argv[1], die_in=sys.argv[2]).run_sync("; ".join(f"step{n} go" for n in range(1, 5)))
"""


def build(folder: str, *, die_in: str = "") -> Team:
    """Four steps, each after the one before; one of them kills its own process the first time."""
    root = Path(folder)
    settings = load_settings(root)

    def work(text: str) -> str:
        name = text.split(maxsplit=1)[0]
        marker = root / f"{name}.died"
        if name == die_in and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with (root / "done.txt").open("a") as done:
            done.write(f"{name}\n")
        return name

    names = [f"step{number}" for number in range(1, STEPS + 1)]
    agents = [Agent(name, job=f"Do {name}.", model=work) for name in names]
    chain = {str(number): (str(number - 1),) for number in range(2, STEPS + 1)}
    router = FixedRouter(names, depends_on=chain)
    return Team(agents, router=router, settings=settings, escalation=Escalation(threshold=0.5))


@pytest.mark.parametrize("die_in", ["step1", "step2", "step4"])
async def test_sigkill_in_a_step_then_resume(tmp_path: Path, die_in: str) -> None:
    (tmp_path / "shoal.toml").write_text("")
    (tmp_path / "tests_crash.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), die_in],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr

    async with build(str(tmp_path)) as team:
        (row,) = team.runtime.ledger.runs()
        assert row.status == "running"
        result = await team.resume(row.id)
    assert result.status == "done"
    assert [step.text for step in result.steps] == [f"step{number}" for number in range(1, STEPS + 1)]
    assert (tmp_path / "done.txt").read_text().split() == [f"step{number}" for number in range(1, STEPS + 1)]
