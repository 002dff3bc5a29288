"""The promise holds: counted over many draws from worlds whose true error is known."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.core.decision import Signals
from shoal.core.errors import InputError
from shoal.router.escalation.calibrate import LabelledAttempt, calibrate
from shoal.router.escalation.learn_then_test import (
    Promise,
    binomial_tail,
    choose_thresholds,
    divide,
    error_bound,
    explain_shortfall,
    rows_needed,
    seek_promise,
    walk_thresholds,
)

DRAWS = 1_000
LEVEL = 0.95
LIMIT = 69
"""Violations of `DRAWS` that a promise kept with `LEVEL` exceeds in less than 1 of 200 runs."""
Floats = NDArray[np.float64]
World = Callable[[Floats], tuple[Floats, Floats]]
"""Uniform numbers to confidences and the true probabilities of being wrong."""


def calibrated(draw: Floats) -> tuple[Floats, Floats]:
    return draw, 1 - draw


def overconfident(draw: Floats) -> tuple[Floats, Floats]:
    return 0.9 + draw / 10, 0.4 - 0.4 * draw


def useless(draw: Floats) -> tuple[Floats, Floats]:
    return draw, np.full(len(draw), 0.11)


def backwards(draw: Floats) -> tuple[Floats, Floats]:
    return draw, 0.3 * draw


def too_modest(draw: Floats) -> tuple[Floats, Floats]:
    """No threshold looks safe, so the walk begins where it looks likeliest."""
    return 0.5 + 0.35 * draw, 0.25 - 0.25 * draw


def in_steps(draw: Floats) -> tuple[Floats, Floats]:
    steps = np.floor(draw * 4) / 4
    return steps, 0.25 - 0.25 * steps


WORLDS = (calibrated, overconfident, useless, backwards, too_modest, in_steps)
GRID = np.linspace(0.0005, 0.9995, 1_000)


def true_error(world: World, threshold: float) -> float:
    confidences, wrong = world(GRID)
    return float(wrong[confidences >= threshold].mean())


def violations(
    world: World, rows: int, max_error: float, seek: Callable[..., Promise | None] = seek_promise
) -> tuple[int, int]:
    """Of `DRAWS` samples: how many were promised too much, and how many were promised anything."""
    random = np.random.default_rng(0)
    broken = promised = 0
    for _ in range(DRAWS):
        confidences, rates = world(random.random(rows))
        wrong = random.random(rows) < rates
        promise = seek(confidences.tolist(), wrong.tolist(), max_error=max_error, level=LEVEL)
        promised += promise is not None
        broken += promise is not None and true_error(world, promise.threshold) > max_error
    return broken, promised


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
@pytest.mark.parametrize(("rows", "max_error"), [(30, 0.1), (250, 0.1), (250, 0.05)])
def test_a_promise_is_broken_in_at_most_five_draws_of_a_hundred(
    world: World, rows: int, max_error: float
) -> None:
    broken, _ = violations(world, rows, max_error)
    assert broken <= LIMIT


def test_the_count_would_notice_a_threshold_that_is_merely_read_off() -> None:
    def read_off(
        confidences: list[float], wrong: list[bool], *, max_error: float, level: float
    ) -> Promise | None:
        """The loosest threshold whose observed error is bearable: what everybody does."""
        best = None
        for threshold in choose_thresholds(confidences, max_error=max_error, level=level):
            kept = [bad for value, bad in zip(confidences, wrong, strict=True) if value >= threshold]
            if sum(kept) <= max_error * len(kept):
                best = Promise(threshold=threshold, kept=len(kept), wrong=sum(kept), bound=1.0)
        return best

    broken, _ = violations(calibrated, 250, 0.1, read_off)
    assert broken > 3 * LIMIT


def test_a_good_confidence_is_promised_something_nearly_always() -> None:
    _, promised = violations(in_steps, 250, 0.2)
    assert promised > 0.9 * DRAWS


def test_a_confidence_too_modest_for_any_safe_start_is_promised_something() -> None:
    """The walk began at two rows of the hundred: both right, which proves nothing, and it was over."""
    modest = [0.8 - number / 1_000 for number in range(100)]
    promise = seek_promise(modest, [False] * 100, max_error=0.1, level=LEVEL)
    assert promise is not None
    assert promise.kept == 100


@given(st.lists(st.sampled_from([0.5, 0.7, 0.8, 0.9, 0.95]), max_size=120), st.floats(0.02, 0.4))
def test_every_threshold_tested_could_pass(confidences: list[float], max_error: float) -> None:
    for threshold in choose_thresholds(confidences, max_error=max_error, level=LEVEL):
        kept = sum(value >= threshold for value in confidences)
        assert binomial_tail(0, kept, max_error) <= 1 - LEVEL


def test_an_agent_s_certificate_keeps_its_promise() -> None:
    """Fitting, choosing and testing together, on signals of which one misleads."""
    random = np.random.default_rng(1)
    broken, draws = 0, 200
    for draw in range(draws):
        rows: list[LabelledAttempt] = []
        for number in range(150):
            sure, other = random.random(2)
            acceptable = bool(random.random() < 0.6 + 0.4 * sure)
            signals = Signals(label_probability=float(sure), margin=float(other))
            rows.append(LabelledAttempt(key=f"{draw}/{number}", signals=signals, acceptable=acceptable))
        certificate = calibrate("reader", rows, max_error=0.15)
        if certificate.threshold is None:
            continue
        seen = random.random((2_000, 2))
        kept = [
            sure
            for sure, other in seen.tolist()
            if certificate.combiner.confidence(Signals(label_probability=sure, margin=other))
            >= certificate.threshold
        ]
        broken += sum(0.4 - 0.4 * sure for sure in kept) / len(kept) > 0.15
    assert broken <= 20  # 10 expected at most; more than 20 in less than 1 of 500 runs


@given(st.integers(1, 400), st.data(), st.floats(0.01, 0.5))
def test_the_bound_is_where_the_tail_is_spent(kept: int, data: st.DataObject, risk: float) -> None:
    wrong = data.draw(st.integers(0, kept - 1))
    bound = error_bound(wrong, kept, 1 - risk)
    assert wrong / kept <= bound <= 1
    assert math.isclose(binomial_tail(wrong, kept, bound), risk, rel_tol=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.4))
def test_thresholds_descend_and_are_values_that_were_seen(confidences: list[float], max_error: float) -> None:
    thresholds = choose_thresholds(confidences, max_error=max_error, level=LEVEL)
    assert thresholds == sorted(set(thresholds), reverse=True)
    assert set(thresholds) <= set(confidences)


def test_the_walk_ends_at_the_first_threshold_that_cannot_be_promised() -> None:
    confidences = [0.9] * 60 + [0.8] * 60 + [0.7] * 60
    wrong = [False] * 60 + [True] * 30 + [False] * 90
    promise = walk_thresholds(confidences, wrong, [0.9, 0.8, 0.7], max_error=0.1, level=LEVEL)
    assert promise is not None
    assert (promise.threshold, promise.kept, promise.wrong) == (0.9, 60, 0)


@pytest.mark.parametrize("rows", [1, 2, 5, 28])
def test_too_few_rows_promise_nothing(rows: int) -> None:
    assert seek_promise([0.99] * rows, [False] * rows, max_error=0.1, level=LEVEL) is None


def test_too_few_rows_are_told_how_many_would_do() -> None:
    enough = rows_needed([0.99] * 20, [False] * 20, max_error=0.1, level=LEVEL)
    assert enough is not None
    assert 30 < enough < 200
    assert rows_needed([0.5] * 50, [True] * 50, max_error=0.1, level=LEVEL) is None


def test_useless_confidence_is_told_that_no_number_would_do() -> None:
    """Of rows that are right or wrong at random some surest ones are always right."""
    random = np.random.default_rng(2)
    for _ in range(50):
        scores, wrong = random.random(300).tolist(), (random.random(300) < 0.5).tolist()
        assert rows_needed(scores, wrong, max_error=0.1, level=LEVEL) is None
    alike, right_first = [0.5] * 300, [False] * 150 + [True] * 150
    assert rows_needed(alike, right_first, max_error=0.1, level=LEVEL) is None


def test_rows_that_are_never_kept_are_no_surest_ones() -> None:
    scores, wrong = [0.9] * 20 + [-1.0] * 80, [True] * 20 + [False] * 80
    assert rows_needed(scores, wrong, max_error=0.1, level=LEVEL) is None


@pytest.mark.parametrize(
    ("needed", "said"),
    [(None, "no number of rows would do"), (430, "of 300 rows about 430"), (300, "early by chance")],
)
def test_a_number_is_named_only_where_it_is_more_than_there_are(needed: int | None, said: str) -> None:
    text = explain_shortfall(rows=300, needed=needed)
    assert said in text
    assert ("430" in text) == (needed == 430)


def test_a_row_without_a_required_signal_is_not_kept() -> None:
    """A run judges it without the certificate, so the certificate does not count it."""
    probabilities = [0.9 + number / 10_000 for number in range(400)]
    rows = [
        LabelledAttempt(key=str(number), signals=Signals(label_probability=value), acceptable=True)
        for number, value in enumerate(probabilities)
    ]
    _, tested = divide(rows, lambda row: row.key)
    bare = {row.key for row in tested[:200]}
    rows = [replace(row, signals=Signals(), acceptable=False) if row.key in bare else row for row in rows]
    found = calibrate("reader", rows, max_error=0.1)
    assert found.combiner.required == ("label probability",)
    assert (found.kept, found.wrong, found.rows_tested) == (120, 0, 320)


def test_where_a_row_goes_depends_on_its_key_alone() -> None:
    rows = [f"row {number}" for number in range(40)]
    fitted, tested = divide(rows, str)
    assert (fitted, tested) == divide(rows[::-1], str)
    assert sorted(fitted + tested) == sorted(rows)
    assert len(fitted) == 8


def test_a_row_that_is_there_twice_is_refused() -> None:
    row = LabelledAttempt(key="same", signals=Signals(label_probability=0.9), acceptable=True)
    with pytest.raises(InputError, match="more than once"):
        calibrate("reader", [row, row], max_error=0.1)
