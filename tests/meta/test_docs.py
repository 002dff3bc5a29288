"""The parts of docs/ that are generated say what the code says now."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
STILL_TO_BE_WRITTEN = {"retrieval.md"}


def test_the_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_says_what_it_means() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    own, _, shared = page.partition("## [escalation.budget]")  # what its rows mean stands above them
    silent = [line for line in own.splitlines() if line.endswith("|  |")]
    assert shared
    assert not silent


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = {
        target
        for page in (ROOT / "docs").glob("*.md")
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    }
    assert broken <= STILL_TO_BE_WRITTEN


def test_the_layers_in_the_docs_are_those_that_lint_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = {
        name for layer in contracts[0]["layers"] for name in layer.split(" | ") if not name.startswith("(")
    }
    page = (ROOT / "docs" / "architecture.md").read_text()
    shown = page.split("```")[1]
    assert held == {word for line in shown.splitlines() for word in named(line)}


def named(line: str) -> list[str]:
    """The packages that a line of the drawing names, at its left."""
    left = line.split("  ", maxsplit=1)[0]
    return [name for name in left.split(" | ") if name.isidentifier()]
