"""A router's figures: counted by hand, and held to the laws they have to obey."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shoal.core.errors import InputError
from shoal.evaluation.router import (
    RoutedRow,
    auroc,
    calibration_error,
    check_labels,
    macro_f1,
    route_rows,
    score_rows,
)
from shoal.router.example import Example
from shoal.testing.fixed_router import FixedRouter

LABELS = st.sampled_from(["a", "b", "c", None])
CONFIDENCES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)
ROWS = st.lists(
    st.builds(
        RoutedRow,
        text=st.just("text"),
        label=LABELS,
        predicted=st.sampled_from(["a", "b", "c"]),
        confidence=st.floats(0, 1),
        abstained=st.booleans(),
    ),
    max_size=40,
)


def row(label: str | None, predicted: str, confidence: float, *, abstained: bool = False) -> RoutedRow:
    return RoutedRow(
        text="text", label=label, predicted=predicted, confidence=confidence, abstained=abstained
    )


def test_six_rows_counted_by_hand() -> None:
    score = score_rows(
        [
            row("a", "a", 0.95),
            row("a", "b", 0.75),
            row("b", "b", 0.85),
            row("b", "b", 0.15, abstained=True),
            row(None, "a", 0.25, abstained=True),
            row(None, "a", 0.65),
        ]
    )
    assert score.accuracy == 3 / 4
    assert score.accuracy_with_abstention == 3 / 6
    # a: 1 hit of 2 given and 2 there; b: 1 of 2 and 2; out of scope: 1 of 2 and 2.
    assert score.macro_f1 == 0.5
    # Below the two out-of-scope confidences lie: .15 (one of four), and .15 (one of four).
    assert score.oos_auroc == pytest.approx(6 / 8)
    assert score.oos_recall == 0.5
    assert score.oos_precision == 0.5
    assert score.in_scope_rejected == 0.25
    # Each of the four in-scope rows has a bin of its own.
    assert score.ece == pytest.approx((0.05 + 0.75 + 0.15 + 0.85) / 4)


def test_what_the_rows_cannot_tell_is_unknown_not_zero() -> None:
    score = score_rows([row("a", "a", 0.9)])
    assert (score.oos_auroc, score.oos_recall, score.oos_precision) == (None, None, None)
    assert (score.accuracy, score.in_scope_rejected) == (1.0, 0.0)
    score = score_rows([row(None, "a", 0.9)])
    assert (score.accuracy, score.in_scope_rejected, score.ece, score.oos_auroc) == (None,) * 4
    assert score.oos_recall == 0.0
    assert set(asdict(score_rows([])).values()) == {None}


@given(CONFIDENCES)
def test_auroc_is_sklearns(pairs: list[tuple[float, bool]]) -> None:
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs], np.bool_)
    found = auroc(scores, positive)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores))
        # Looking from the other side, or through another monotone scale, changes nothing.
        assert auroc(-scores, ~positive) == pytest.approx(found)


@given(CONFIDENCES)
def test_calibration_error_is_a_share_and_zero_where_confidence_is_right(
    pairs: list[tuple[float, bool]],
) -> None:
    confidence, right = np.array([c for c, _ in pairs]), np.array([r for _, r in pairs], np.bool_)
    error = calibration_error(confidence, right)
    assert (error is None) == (not pairs)
    if error is not None:
        gap = abs(float(confidence.mean()) - float(right.mean()))
        assert gap - 1e-9 <= error <= 1
        assert calibration_error(right.astype(np.float64), right) == 0


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40))
def test_f1_is_a_share_and_one_exactly_where_all_is_right(
    pairs: list[tuple[str | None, str | None]],
) -> None:
    f1 = macro_f1(pairs)
    assert f1 is not None
    assert 0 <= f1 <= 1
    assert (f1 == 1) == all(label == predicted for label, predicted in pairs)


@given(ROWS)
def test_every_figure_is_a_share_or_unknown_whatever_the_order(rows: list[RoutedRow]) -> None:
    figures = asdict(score_rows(rows))
    assert all(value is None or 0 <= float(value) <= 1 for value in figures.values())
    again = asdict(score_rows(rows[::-1]))
    assert all(again[name] == pytest.approx(value) for name, value in figures.items())


def test_a_router_is_asked_row_by_row() -> None:
    rows = [Example("orders where", "orders"), Example("weather", None)]
    routed, latency = route_rows(FixedRouter(["orders"]), rows)
    assert [(r.text, r.label, r.predicted, r.abstained) for r in routed] == [
        ("orders where", "orders", "orders", False),
        ("weather", None, None, True),
    ]
    assert 0 < latency.p50 <= latency.p95
    assert score_rows(routed).accuracy_with_abstention == 1


def test_labels_nobody_learnt_are_named_and_a_mixed_up_file_is_refused() -> None:
    assert check_labels(["a", "z", None, "y", "z"], ["a", "b"]) == ("y", "z")
    assert check_labels([None, None], ["a"]) == ()
    with pytest.raises(InputError, match="no test label was in the training rows: x, y"):
        check_labels(["x", "y"], ["a"])
    with pytest.raises(InputError, match="no rows"):
        check_labels([], ["a"])
