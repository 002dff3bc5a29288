"""Rows of a cascade are read as they are meant, or refused with the line that is wrong."""

import gzip
import json
import math
from pathlib import Path

import pytest

from shoal.core.errors import InputError, UnknownName
from shoal.router.escalation.reader import load_rows, name_models


def written(path: Path, *lines: str) -> Path:
    content = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_row_with_both_models(tmp_path: Path, name: str) -> None:
    outcomes = '"small": {"correct": false, "confidence": -0.3}, "large": {"correct": true}'
    line = f'{{"prompt": "2\u2028 + 2?", {outcomes}}}'
    (row,) = load_rows([written(tmp_path / name, line, "")])
    assert (row.small.correct, row.small.confidence) == (False, -0.3)
    assert row.large is not None
    assert row.large.correct
    assert row.prompt == "2\u2028 + 2?"


def test_confidences_that_are_no_numbers(tmp_path: Path) -> None:
    lines = [
        f'{{"prompt": "p", "small": {{"correct": true, "confidence": {word}}}}}'
        for word in ("NaN", "-Infinity", "Infinity", "null")
    ]
    values = [row.small.confidence for row in load_rows([written(tmp_path / "rows.jsonl", *lines)])]
    assert values[0] is None
    assert values[3] is None
    assert values[1] is not None
    assert values[2] is not None
    assert values[1] < 0 < values[2]
    assert all(math.isfinite(value) for value in values if value is not None)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"prompt": "p"}', '{"prompt": "p", "small": {}}', '{"small": {"correct": true}}']
)
def test_the_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    good = '{"prompt": "p", "small": {"correct": true}}'
    with pytest.raises(InputError, match=r"rows\.jsonl:2"):
        load_rows([written(tmp_path / "rows.jsonl", good, line)])


def test_rows_with_many_models_name_a_cascade_themselves(tmp_path: Path) -> None:
    models = [
        {"tiny-1b": True, "mid-7b": True, "giant": True},
        {"tiny-1b": False, "mid-7b": False, "giant": True},
    ]
    lines = [json.dumps({"prompt": "p", "functions": {"name": "f"}, "models": row}) for row in models]
    path = written(tmp_path / "rows.jsonl", *lines)
    assert name_models([path]) == ("tiny-1b", "giant")
    rows = load_rows([path], small="tiny-1b", large="giant")
    assert [(row.small.correct, row.large and row.large.correct, row.peers) for row in rows] == [
        (True, True, (True,)),
        (False, True, (False,)),
    ]
    with pytest.raises(UnknownName, match="huge"):
        load_rows([path], small="tiny-1b", large="huge")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_rows([tmp_path / "absent.jsonl"])
