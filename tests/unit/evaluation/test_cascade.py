"""The cascade evaluation: known answers for its measures, and what it makes of bad rows."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from random import Random
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.core.errors import InputError
from shoal.evaluation.cascade import CascadeReport, Judged, evaluate_cascade
from shoal.evaluation.cascade_curve import apgr, auroc, calibration_error, calls_to_close, gain_curve
from shoal.retrieval.embedder import MiniLM
from shoal.router.escalation.reader import CascadeRow, Outcome

TOPICS = ("tides", "whales", "kelp", "sonar", "salt", "boats", "gulls", "reefs", "squid", "sand")


@cache
def embedder() -> MiniLM:
    return MiniLM(threads=1)


def invented(
    count: int, *, seed: int, informative: bool = True, large: bool = True, start: int = 0
) -> list[CascadeRow]:
    """Rows whose confidence tells whether the small model is right, or does not."""
    random = Random(seed)
    rows: list[CascadeRow] = []
    for number in range(start, start + count):
        right = random.random() < 0.6
        confidence = random.gauss(3.0 * right if informative else 0.0)
        rows.append(
            CascadeRow(
                prompt=f"Tell me fact {number} about {TOPICS[number % 10]}.",
                small=Outcome(correct=right, confidence=confidence, cost_usd=1.0, answer=f"It is {number}."),
                large=Outcome(correct=random.random() < 0.9, cost_usd=10.0) if large else None,
            )
        )
    return rows


def evaluated(
    train: Sequence[CascadeRow], test: Sequence[CascadeRow], **rates: float
) -> tuple[CascadeReport, tuple[Judged, ...]]:
    return evaluate_cascade(train, test, embedder(), **rates)


def vector(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


def test_apgr_of_a_hand_worked_cascade() -> None:
    small = vector(*[0] * 5, *[1] * 5)
    large = np.ones(10)
    perfect = np.arange(10, 0, -1).astype(np.float64)
    curve = gain_curve(perfect, small, large)
    assert curve is not None
    assert curve.share.tolist() == pytest.approx([n / 10 for n in range(11)])
    assert curve.recovered.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert apgr(perfect, small, large) == pytest.approx(0.75)
    assert apgr(-perfect, small, large) == pytest.approx(0.25)
    assert calls_to_close(curve, 0.5) == pytest.approx(0.25)
    assert calls_to_close(curve, 0.8) == pytest.approx(0.4)


def test_a_score_that_never_varies_is_worth_chance() -> None:
    assert apgr(np.zeros(40), vector(*[0, 1] * 20), np.ones(40)) == pytest.approx(0.5)


def test_measures_that_cannot_be_told_are_none() -> None:
    ones = np.ones(5)
    assert apgr(ones, ones, ones) is None
    assert auroc(ones, np.ones(5, np.bool_)) is None


def test_calibration_error_of_confidences_that_are_ten_points_too_high() -> None:
    right = np.array([True] * 7 + [False] * 3)
    assert calibration_error(np.full(10, 0.8), right) == pytest.approx(0.1)


def test_a_confidence_that_tells_orders_keeps_and_costs_less() -> None:
    report, judged = evaluated(invented(300, seed=1), invented(200, seed=2, start=300), max_error=0.2)
    assert report.apgr is not None
    assert report.apgr > 0.6
    assert report.certified
    assert report.threshold is not None
    assert report.error_local is not None
    assert report.error_local <= 0.2
    assert report.cost_vs_large is not None
    assert report.cost_vs_large == pytest.approx(0.1 + 1 - report.share_local)
    assert [row.local for row in judged] == [row.confidence >= report.threshold for row in judged]
    assert set(report.baselines) == {"small", "large", "random", "raw_confidence", "oracle"}


def test_a_confidence_that_tells_nothing_is_called_useless_and_promises_nothing() -> None:
    train, test = (
        invented(200, seed=3, informative=False),
        invented(200, seed=4, informative=False, start=200),
    )
    report, judged = evaluated(train, test)
    assert not report.certified
    assert report.share_local == 0
    assert not any(row.local for row in judged)
    assert any("useless" in note for note in report.notes)
    assert any("promised" in note for note in report.notes)


def test_copied_rows_are_refused() -> None:
    rows = invented(60, seed=5)
    with pytest.raises(InputError, match="are training rows"):
        evaluated(rows, [*invented(40, seed=6, start=60), rows[0]])


def test_copies_in_the_training_rows_do_not_excuse_copied_test_rows() -> None:
    rows = invented(60, seed=5)
    with pytest.raises(InputError, match="10 test rows are training rows"):
        evaluated(rows * 3, [*invented(40, seed=6, start=60), *rows[:10]])


def test_copies_promise_no_more_than_the_rows_they_are_of() -> None:
    """Sixty rows prove little at five per cent; each of them five times used to prove it."""
    rows, test = invented(60, seed=5), invented(40, seed=6, start=60)
    once, judged = evaluated(rows, test)
    often, again = evaluated(rows * 5, test)
    assert once.threshold is None
    assert often.threshold is None
    assert [row.confidence for row in again] == [row.confidence for row in judged]
    assert "240 repeated rows count once: a promise rests on different ones." in often.notes
    assert not any("repeated" in note for note in once.notes)


def test_copies_of_a_few_rows_are_too_few() -> None:
    with pytest.raises(InputError, match="9 different training rows"):
        evaluated(invented(9, seed=5) * 5, invented(40, seed=6, start=60))


def test_training_rows_that_the_test_rows_all_ask_are_too_few() -> None:
    with pytest.raises(InputError, match="0 different training rows"):
        evaluated(invented(40, seed=5), invented(40, seed=6))


def test_a_prompt_asked_in_both_parts_is_left_out_of_the_training() -> None:
    train, test = invented(60, seed=5), invented(40, seed=6, start=59)
    report, _ = evaluated(train, test)
    assert any("1 training rows were left out" in note for note in report.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"small": Outcome(correct=True)},
        {"small": Outcome(correct=False)},
        {"small": Outcome(correct=True, confidence=1e9)},
        {"large": None},
        {"small": Outcome(correct=True), "large": Outcome(correct=True)},
    ],
    ids=["all-right", "all-wrong", "one-confidence", "no-large", "both-right"],
)
def test_one_sided_rows_give_numbers_or_none_but_never_nan(change: dict[str, Any]) -> None:
    def all_alike(rows: list[CascadeRow]) -> list[CascadeRow]:
        return [replace(row, **change) for row in rows]

    report, judged = evaluated(all_alike(invented(40, seed=7)), all_alike(invented(20, seed=8, start=40)))
    assert len(judged) == 20
    assert all(math.isfinite(value) for row in judged for value in (row.score, row.confidence))
    assert not _not_numbers(asdict(report))


def _not_numbers(value: Any) -> list[object]:
    if isinstance(value, dict):
        return [bad for item in cast("dict[str, Any]", value).values() for bad in _not_numbers(item)]
    if isinstance(value, list | tuple):
        return [bad for item in cast("list[Any]", value) for bad in _not_numbers(item)]
    return [value] if isinstance(value, float) and not math.isfinite(value) else []
