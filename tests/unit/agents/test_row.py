import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shoal.agents import Agent
from shoal.agents.row import fit_expected, load_rows, parse_rows
from shoal.core.errors import InputError


def only(value: dict[str, Any]) -> Any:
    (row,) = parse_rows([(1, value)])
    return row


def test_the_usual_form_keeps_what_comes_with_it() -> None:
    row = only({"input": "a", "expected": {"x": 1}, "rationale": "because", "samples": [{"x": 1}]})
    assert (row.input, row.expected, row.rationale, row.samples) == ("a", {"x": 1}, "because", ({"x": 1},))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"label": "play", "slots": {"artist": ["abba"]}}, {"intent": "play", "slots": {"artist": ["abba"]}}),
        ({"fields": {"total": "9.00"}}, {"total": "9.00"}),
        (
            {"spans": [{"type": "CITY", "start": 7, "end": 11}, {"type": "PERSON", "start": 0, "end": 3}]},
            {"spans": [{"type": "PERSON", "text": "Ann"}, {"type": "CITY", "text": "Rome"}]},
        ),
        ({"expected": None}, None),
    ],
)
def test_forms_of_public_data_are_read(value: dict[str, Any], expected: Any) -> None:
    assert only({"text": "Ann in Rome", **value}).expected == expected


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([1], "not an object"),
        ({"expected": 1}, "has no input"),
        ({"input": "  ", "expected": 1}, "has no input"),
        ({"input": "a"}, "does not say what is expected"),
        ({"text": "a", "label": "play"}, "does not say what is expected"),
        ({"text": "a", "spans": [{"start": 0}]}, "spans that cannot be read"),
    ],
)
def test_a_bad_row_is_named(value: Any, why: str) -> None:
    with pytest.raises(InputError, match=f"row 3 .*{why}"):
        parse_rows([(3, value)])


def test_files_are_split_at_newlines_only(tmp_path: Path) -> None:
    content = json.dumps({"input": "a\u2028b", "expected": "c"}, ensure_ascii=False) + "\n\n"
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(content.encode()))
    (row,) = load_rows(path)
    assert (row.number, row.input) == (1, "a\u2028b")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"\n", b"[" * 100_000])
def test_a_file_that_is_no_rows_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.jsonl"):
        load_rows(path)


def test_what_is_expected_is_said_as_the_agent_would() -> None:
    class Order(BaseModel):
        total: float
        note: str | None = None

    agent = Agent("orders", job="Read an order.", model="embedded:smollm2:135m", output=Order)
    assert fit_expected(agent, {"total": 3}) == {"total": 3.0, "note": None}
    with pytest.raises(ValueError, match="total"):
        fit_expected(agent, {})
