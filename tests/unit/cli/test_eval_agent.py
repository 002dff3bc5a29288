"""`shoal eval agent` as a person runs it, with functions and with the real small model."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shoal.cli.main import app
from shoal.core.errors import ShoalError

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]
WRITER = """
from pydantic import BaseModel
from shoal import Agent

class Command(BaseModel):
    intent: str
    slots: dict[str, list[str]]

commands = Agent("commands", job="Read a command.", model="small", output=Command, max_tokens=40)
"""


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.name


def orders(project: Path) -> str:
    return write(
        project / "rows.jsonl",
        {"input": "Order A1, please", "expected": {"order_id": "A1"}},
        {"input": "Order B2, please", "expected": {"order_id": "C3"}},
        {"input": "Order D4, please", "expected": {"number": "D4"}},
    )


def test_the_figures_and_a_prediction_a_row(project: Path, shoal: Shoal) -> None:
    done = shoal("eval", "agent", "orders", "--test", orders(project), "--predictions", "out.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["exact_match"] == figures["field_f1"] == pytest.approx(1 / 3)
    assert figures["valid_output"] == 1
    assert set(figures["latency_ms"]) == {"p50", "p95"}
    assert {"tokens", "cost", "energy", "rows", "model", "digest", "confidence_auroc"} <= set(figures)
    for low, high in (figures["intervals"][name] for name in ("exact_match", "field_f1", "valid_output")):
        assert 0 <= low <= high <= 1
    assert figures["specialist"] is None
    assert any("does not allow" in note and "rows 3" in note for note in figures["notes"])
    out = [json.loads(line) for line in (project / "out.jsonl").read_text().splitlines()]
    assert [row["exact"] for row in out] == [True, False, False]
    assert {"input", "expected", "output", "valid", "exact", "confidence", "latency_ms"} <= set(out[0])
    assert "exact_match" in shoal("eval", "agent", "orders", "--test", "rows.jsonl", "--limit", "1").stdout


@pytest.mark.usefixtures("fresh_imports")
@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["orderz", "--test", "rows.jsonl"], 'did you mean "orders"'),
        (["orders", "--test", "absent.jsonl"], "cannot be read"),
        (["orders", "--test", "bad.jsonl"], "bad.jsonl, line 2 is not JSON"),
        (["orders", "--test", "rows.jsonl", "--model", "embedded:none.gguf"], "there is no file"),
        (["orders", "--test", "rows.jsonl", "--model", "tiny"], "tiny"),
        (["orders", "--test", "rows.jsonl", "--specialist", "3"], 'no version of orders is called "3"'),
        (["orders", "--test", "rows.jsonl", "--specialist", "none", "--model", "tiny"], "leave --model"),
        (["orders", "--test", "rows.jsonl", "--predictions", "absent/out.jsonl"], "cannot write"),
    ],
)
def test_errors_say_what_and_where(
    project: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], why: str
) -> None:
    monkeypatch.chdir(project)
    orders(project)
    (project / "bad.jsonl").write_text('{"input": "a", "expected": 1}\n{\n')
    done = CliRunner().invoke(app, ["eval", "agent", *args, "--json"])
    assert isinstance(done.exception, ShoalError)
    assert why in str(done.exception)


@pytest.mark.live
def test_the_real_small_model_is_measured(project: Path, shoal: Shoal, smollm2_path: Path) -> None:
    (project / "agents" / "all.py").write_text(WRITER)
    test = write(
        project / "rows.jsonl",
        {"text": "play abba", "label": "PlayMusic", "slots": {"artist": ["abba"]}},
        {"text": "book a table for two", "label": "BookRestaurant", "slots": {"party_size": ["two"]}},
    )
    toml = project / "shoal.toml"
    toml.write_text(toml.read_text() + '\n[models]\nsmall = "embedded:smollm2:135m"\n')
    env = {"SHOAL_CACHE_DIR": str(smollm2_path.parent.parent)}
    done = shoal("eval", "agent", "commands", "--test", test, "--json", env=env)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["model"] == "embedded:smollm2:135m"
    assert figures["digest"].startswith("sha256:")
    assert figures["tokens"]["output"] > 0
    assert figures["latency_ms"]["p50"] > 0
    assert set(figures["by_field"]) >= {"intent", "slots"}
