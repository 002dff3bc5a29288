"""`shoal specialise` as far as it goes without torch: in this process, in a project of its own."""

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shoal.cli.main import app
from shoal.core.errors import ShoalError

NO_TORCH = importlib.util.find_spec("torch") is None


@pytest.mark.usefixtures("fresh_imports")
@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["orderz", "--data", "rows.jsonl"], 'did you mean "orders"'),
        (["orders", "--data", "absent.jsonl"], "cannot be read"),
        (["orders", "--data", "bad.jsonl"], "bad.jsonl, line 1 is not JSON"),
        pytest.param(
            ["orders", "--data", "rows.jsonl"],
            "pip install 'shoal[train]'",
            marks=pytest.mark.skipif(not NO_TORCH, reason="the extra is installed here"),
        ),
    ],
)
def test_errors_come_before_the_work_and_say_what_mends_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], why: str
) -> None:
    monkeypatch.chdir(project)
    row = {"input": "Order A1", "expected": {"order_id": "A1"}}
    (project / "rows.jsonl").write_text(json.dumps(row))
    (project / "bad.jsonl").write_text("{")
    done = CliRunner().invoke(app, ["specialise", *args, "--json"])
    assert isinstance(done.exception, ShoalError)
    assert why in str(done.exception)
    assert not (project / ".shoal" / "training").exists()
