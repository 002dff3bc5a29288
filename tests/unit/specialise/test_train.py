"""A real specialist, trained in minutes: rows in, a live version out, killed on the way."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

NO_TORCH = importlib.util.find_spec("torch") is None

pytestmark = [
    pytest.mark.train,
    pytest.mark.live,
    pytest.mark.skipif(NO_TORCH, reason="needs torch: make test-train"),
]

AGENTS = """
from pydantic import BaseModel
from shoal import Agent

class Parcel(BaseModel):
    city: str
    kilos: int

parcels = Agent(
    "parcels", job="Read city and kilos.", model="embedded:smollm2:135m", output=Parcel, max_tokens=40
)
"""
CITIES = ["Rome", "Oslo", "Bonn", "Lyon", "Graz", "Cork", "Riga", "Bern", "Porto", "Turin", "Malmo", "Ghent"]
OPENINGS = ["Please send it", "Ship this", "Deliver the box", "I have a parcel", "It goes", "Take this one"]
TIMES = ["today", "by Friday", "when you can", "tomorrow morning", "next week", "at once", ""]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    made: list[dict[str, Any]] = []
    for _ in range(count):
        city, kilos = draw.choice(CITIES), draw.randrange(2, 90)
        number = draw.randrange(9999)
        text = f"{draw.choice(OPENINGS)} to {city} {draw.choice(TIMES)}, {kilos} kilos, number {number}"
        made.append({"input": text, "expected": {"city": city, "kilos": kilos}})
    return made


def write_project(tmp_path: Path, smollm2_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "all.py").write_text(AGENTS)
    (tmp_path / "shoal.toml").write_text(
        f'engine = "embedded"\ncache_dir = "{smollm2_path.parent.parent}"\n[embedded]\nnum_ctx = 512\n'
    )
    for name, count, seed in (("rows", 400, 1), ("held", 80, 2)):
        lines = "".join(f"{json.dumps(row)}\n" for row in rows(count, seed))
        (tmp_path / f"{name}.jsonl").write_text(lines)


COMMAND = [
    *(sys.executable, "-m", "shoal", "specialise", "parcels", "--data", "rows.jsonl", "--json"),
    *("--held-out", "held.jsonl", "--passes", "2", "--batch", "16", "--budget-minutes", "4"),
]


def test_a_specialist_is_trained_killed_resumed_and_goes_live(tmp_path: Path, smollm2_path: Path) -> None:
    write_project(tmp_path, smollm2_path)
    checkpoint = tmp_path / ".shoal" / "training" / "parcels" / "tuning" / "checkpoint.pt"

    killed = subprocess.Popen(COMMAND, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True)
    limit = time.monotonic() + 240
    while not checkpoint.exists() and killed.poll() is None and time.monotonic() < limit:
        time.sleep(0.5)
    if killed.poll() is None:
        assert checkpoint.exists(), "it is slower than anybody would wait for"
        os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() in (0, -signal.SIGKILL)  # a fast machine is done before it could be killed

    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["live"]
    assert report["gate"]["passed"]
    assert report["scores"]["field_f1"]["value"] > 0.8
    assert report["scores"]["valid_output"]["value"] >= 0.99
    assert (Path(report["folder"]) / "card.md").is_file()


def test_a_pruned_base_is_healed_served_and_live_for_who_asks_it(tmp_path: Path, smollm2_path: Path) -> None:
    write_project(tmp_path, smollm2_path)
    command = [*COMMAND, "--prune", "6"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (base,) = (tmp_path / ".shoal" / "bases").glob("*-minus-6-*.gguf")
    assert base.stat().st_size < 0.9 * smollm2_path.stat().st_size
    assert not report["live"]
    assert any("asks another model" in note for note in report["notes"])
    assert report["scores"]["field_f1"]["value"] > 0.5

    agents = tmp_path / "agents" / "all.py"
    name = f"embedded:{base.relative_to(tmp_path)}"
    agents.write_text(AGENTS.replace("embedded:smollm2:135m", name))
    promote = [sys.executable, "-m", "shoal", "promote", "parcels", "1"]
    subprocess.run(promote, cwd=tmp_path, check=True, timeout=120, capture_output=True)
    asked = [sys.executable, "-m", "shoal", "eval", "agent", "parcels", "--test", "held.jsonl", "--json"]
    served = subprocess.run(asked, cwd=tmp_path, check=True, timeout=600, capture_output=True, text=True)
    assert json.loads(served.stdout)["field_f1"] == report["scores"]["field_f1"]["value"]
