"""What docs/ shows, run as it stands there, page by page, each in a project of its own.

What is done with a block stands in the first line of its fence, after the language:

    ```toml file=shoal.toml     written into the page's project
    ```python run               run there; a ```text block right after it is what it must print
    ```console run              `$ ` lines are run in a shell, what follows each is what it must print

In what is printed, `...` stands for anything, and what no two runs share (ids, times, money, bars) is not
compared. A later command that names an id of the page gets the one that was printed in its place.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUN_ID = r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b"
BLOCK = re.compile(
    r"^```(\w+) (run|file=(\S+))\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)
PAGES = [path for path in sorted(DOCS.glob("*.md")) if BLOCK.search(path.read_text(encoding="utf-8"))]
VARYING = {
    RUN_ID: "ID",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "WHEN",
    r"[\d.]+ µ\$|\$[\d.]+": "MONEY",
    r"[\d.e-]+ (ms|min|s|J)\b": "AMOUNT",
    r"\d+/\d+ cores": "CORES",
    r"\d+→\d+": "TOKENS",
    r"(?<=onfidence )\d\.\d\d": "SHARE",
    r"[█─]+": "",
    r"[ \t]+": " ",
}

pytestmark = pytest.mark.live


@dataclass(frozen=True)
class Shop:
    """A page's project. It is called as the pages call it, because teams carry its name."""

    root: Path
    ids: dict[str, str] = field(default_factory=dict[str, str])
    """The page's, and the real ones."""

    def check(self, what: str, command: list[str], expected: str) -> None:
        """Run it; what it prints is compared where the page shows it, else it must succeed."""
        own = {
            name: value for name, value in os.environ.items() if not name.startswith(("SHOAL_", "OLLAMA_"))
        }
        done = subprocess.run(
            [self._with_real_ids(word) for word in command],
            cwd=self.root,
            env=own | {"PATH": f"{Path(sys.executable).parent}:{own['PATH']}", "COLUMNS": "110"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        printed = done.stdout.replace(str(self.root), "/home/me/shop")
        if not expected.strip():
            assert done.returncode == 0, f"{what}\nprinted:\n{printed}"
            return
        pattern = ".*".join(re.escape(part) for part in settle(expected).split("..."))
        said = f"{what}\nprinted:\n{printed}\nnot:\n{expected}"
        assert re.fullmatch(pattern, settle(printed), re.DOTALL), said
        self.ids.update(zip(re.findall(RUN_ID, expected), re.findall(RUN_ID, printed), strict=False))

    def _with_real_ids(self, text: str) -> str:
        return re.sub(RUN_ID, lambda found: self.ids.get(found[0], found[0]), text)


@pytest.mark.usefixtures("smollm2_path")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    shop.root.mkdir()
    for language, action, name, body, printed in BLOCK.findall(page.read_text(encoding="utf-8")):
        if action != "run":
            path = shop.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
        elif language == "python":
            shop.check(body, [sys.executable, "-c", body], printed)
        else:
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, expected = command.partition("\n")
                shop.check(line, ["bash", "-c", line], expected)


def settle(text: str) -> str:
    """Without what no two runs share, and without blanks at the ends of lines."""
    for pattern, stand_in in VARYING.items():
        text = re.sub(pattern, stand_in, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
