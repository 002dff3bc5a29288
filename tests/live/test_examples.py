"""What README and examples/ show, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EXPECTED = {
    "graph": "A person will call you today",
    "stream": "accept: ",
    "team": "AB-1234",
}

pytestmark = pytest.mark.live


def run(code: list[str], tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", *code],
        cwd=ROOT,
        env={**os.environ, "SHOAL_ENGINE": "embedded", "SHOAL_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.usefixtures("smollm2_path")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_on_a_bare_machine(path: Path, tmp_path: Path) -> None:
    done = run([str(path)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[path.stem] in done.stdout


def test_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n```\n(.*?)```", readme, re.DOTALL)
    assert found
    done = run(["-c", found[1]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == found[2]
