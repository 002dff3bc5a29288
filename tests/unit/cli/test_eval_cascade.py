"""`shoal eval cascade`: files in, numbers out."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

Shoal = Callable[..., "subprocess.CompletedProcess[str]"]
KEYS = (
    "apgr cpt50 cpt80 auroc ece share_local error_local certified threshold cost_vs_large accuracy baselines"
)


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    random = Random(0)
    paths = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    for path in paths:
        rows = [
            {
                "prompt": f"{path.stem} question {number}",
                "small": {"correct": (right := random.random() < 0.5), "confidence": right + random.random()},
                "large": {"correct": True},
            }
            for number in range(40)
        ]
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return paths


def test_numbers_as_json_and_a_prediction_a_row(
    shoal: Shoal, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    train, test = map(str, parts)
    out = tmp_path / "out.jsonl"
    done = shoal("eval", "cascade", "--train", train, "--test", test, "--json", "--predictions", str(out))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(KEYS.split()) <= set(report)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 40
    assert all(set(row) == {"score", "confidence", "local"} for row in rows)


def test_a_table_for_people(shoal: Shoal, parts: tuple[Path, Path]) -> None:
    train, test = map(str, parts)
    done = shoal("eval", "cascade", "--train", train, "--test", test)
    assert done.returncode == 0, done.stderr
    assert "raw_confidence" in done.stdout


def test_the_same_file_twice_is_refused(shoal: Shoal, parts: tuple[Path, Path]) -> None:
    train = str(parts[0])
    done = shoal("eval", "cascade", "--train", train, "--test", train)
    assert done.returncode == 1
    assert "are training rows" in done.stderr
