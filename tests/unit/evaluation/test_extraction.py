from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.extraction import flatten, score_row, score_text, summarise

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("said", "expected", "counts", "exact"),
    [
        ({"a": 1}, {"a": 1}, (1, 0, 0), True),
        ({"a": 1}, {"a": 1.0}, (1, 0, 0), True),
        ({"a": 1}, {"a": True}, (0, 1, 1), False),
        ({"a": 1, "b": None}, {"a": 1}, (1, 0, 0), False),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, (2, 0, 0), False),
        ({"a": ["x", "x"]}, {"a": ["x"]}, (1, 1, 0), False),
        ({"a": ["x"]}, {"a": ["x", "x"]}, (1, 0, 1), False),
        ({"a": ["x"]}, {"b": ["x"]}, (0, 1, 1), False),
        ({"a": []}, {}, (0, 0, 0), False),
        ({"s": {"a.b": ["x"]}}, {"s": {"a": {"b": ["x"]}}}, (0, 1, 1), False),
        ({"spans": [{"t": "A", "x": "1"}]}, {"spans": [{"x": "1", "t": "A"}]}, (1, 0, 0), True),
        ({"spans": [{"t": "A", "x": "1"}]}, {"spans": [{"t": "B", "x": "1"}]}, (0, 1, 1), False),
        ("Rome", "rome", (0, 1, 1), False),
    ],
)
def test_pairs_are_counted(said: Any, expected: Any, counts: tuple[int, int, int], exact: bool) -> None:
    score = score_row(said, expected, valid=True)
    assert (score.total, score.exact) == (counts, exact)


def test_an_invalid_answer_misses_everything() -> None:
    score = score_row({"a": 1}, {"a": 1, "b": [2, 3]}, valid=False)
    assert (score.total, score.exact, score.f1) == ((0, 0, 3), False, 0.0)
    assert score_row(None, {}, valid=False).f1 == 0.0


def test_a_text_may_differ_in_case_and_spacing_and_have_several_right_forms() -> None:
    assert score_text(" Rome\n", ["Milan", "rome"], valid=True).exact
    assert not score_text("Turin", ["Milan", "rome"], valid=True).exact
    assert not score_text("", ["Milan"], valid=False).exact


def test_f1_is_micro_over_rows_and_given_by_field() -> None:
    rows = [
        score_row({"intent": "a", "slots": {"x": ["1"]}}, {"intent": "a", "slots": {"x": ["1"]}}, valid=True),
        score_row({"intent": "b", "slots": {}}, {"intent": "a", "slots": {"x": ["1", "2"]}}, valid=True),
    ]
    scores = summarise(rows)
    assert scores.exact_match.value == 0.5
    assert scores.field_f1.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 3))
    assert scores.by_field["intent"].f1.value == 0.5
    assert scores.by_field["slots"].f1.value == pytest.approx(2 / (2 + 2))
    assert scores.by_field["slots"].expected == 3
    for score in (scores.exact_match, scores.field_f1, scores.by_field["slots"].f1):
        assert 0 <= score.low <= score.value <= score.high <= 1


@given(JSON)
def test_an_answer_is_right_when_it_is_what_was_expected(value: Any) -> None:
    score = score_row(value, value, valid=True)
    assert score.exact
    assert score.f1 == 1.0


@given(JSON, JSON)
def test_counts_add_up_and_mirror(said: Any, expected: Any) -> None:
    (right, extra, missing), mirrored = (
        score_row(said, expected, valid=True).total,
        score_row(expected, said, valid=True).total,
    )
    assert right + extra == flatten(said).total()
    assert right + missing == flatten(expected).total()
    assert mirrored == (right, missing, extra)
