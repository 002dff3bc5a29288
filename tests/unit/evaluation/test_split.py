"""Requests that hold several things: read, and counted by hand."""

import gzip
from pathlib import Path

import pytest

from shoal.core.errors import ConfigError, InputError
from shoal.evaluation.split import Request, evaluate_split, load_requests, single_intents
from shoal.router.example import Example
from shoal.testing.fixed_router import FixedRouter


def request(text: str, *labels: str) -> Request:
    return Request(text, frozenset(labels))


def test_the_set_of_agents_counts_not_where_the_cuts_fall() -> None:
    score = evaluate_split(
        FixedRouter(["cash", "cards"]),
        [
            request("cash please; cards too", "cash", "cards"),
            request("cards; cards again", "cards"),
            request("cash", "cash", "cards"),
            request("cash; weather", "cash"),
        ],
    )
    assert score.exact_match == 3 / 4
    assert score.exact_match_with_abstention == 3 / 4
    assert score.micro_f1 == pytest.approx(2 * 5 / (5 + 6))


def test_nothing_to_count_is_unknown() -> None:
    score = evaluate_split(FixedRouter(["cash"]), [])
    assert (score.exact_match, score.micro_f1) == (None, None)


def test_labels_are_read_joined_and_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(
        gzip.compress(
            b'{"text": "x", "labels": ["a", "b"], "slots": {}}\n\n'
            b'{"text": "y", "labels": "a#b"}\n{"text": "z", "labels": ["a#c", "a"]}\n'
        )
    )
    assert load_requests(path) == (request("x", "a", "b"), request("y", "a", "b"), request("z", "a", "c"))


@pytest.mark.parametrize("line", ["no json", '{"text": "x"}', '{"text": 3, "labels": []}', "[]"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "x", "labels": ["a"]}\n' + line)
    with pytest.raises(InputError, match=r"rows\.jsonl:2 is no request"):
        load_requests(path)


def test_a_file_that_is_not_there_or_no_gzip_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "rows.gz"
    damaged.write_bytes(gzip.compress(b"x" * 1000)[:-12])
    for path in (tmp_path / "nowhere.jsonl", damaged):
        with pytest.raises(ConfigError, match="cannot read the rows"):
            load_requests(path)


def test_examples_of_several_labels_teach_no_single_one() -> None:
    rows = [Example("x", "a"), Example("y", "a#b"), Example("z", None)]
    assert [example.text for example in single_intents(rows)] == ["x", "z"]
