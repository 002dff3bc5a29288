"""The gate's statistics against truths that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.errors import InputError
from shoal.evaluation.extraction import RowScore
from shoal.evaluation.paired import compare, judge_gate, lower_bound

TRIALS = 100
ALLOWED = 10
"""Of 100 trials that each go wrong with 5 %, more go wrong once in ninety times."""


def score(exact: bool, *, valid: bool = True) -> RowScore:
    return RowScore(exact=exact, valid=valid, counts={"x": (1, 0, 0) if exact else (0, 1, 1)})


@pytest.mark.parametrize("rows", [20, 200])
@pytest.mark.parametrize(
    ("values", "chances"),
    [
        ([-1, 0, 1], [0.06, 0.90, 0.04]),  # exact match: mostly ties
        ([-1, 0], [0.02, 0.98]),  # a rare disaster, which few rows do not show
        ([-1, -0.5, 0, 0.25, 1], [0.1, 0.2, 0.3, 0.2, 0.2]),
        ([-0.4, 0.02], [0.1, 0.9]),  # skewed
    ],
)
def test_a_version_that_is_worse_by_the_margin_passes_in_at_most_one_of_twenty_trials(
    rows: int, values: list[float], chances: list[float]
) -> None:
    truth = float(np.dot(values, chances))
    random = np.random.default_rng(rows)
    passed = sum(
        lower_bound(random.choice(values, rows, p=chances).tolist(), level=0.95, seed=trial) > truth
        for trial in range(TRIALS)
    )
    assert passed <= ALLOWED


def test_of_a_few_equal_rows_nothing_is_concluded_and_of_many_it_is() -> None:
    few, many = compare([1.0] * 20, [1.0] * 20), compare([1.0] * 500, [1.0] * 500)
    assert (few.difference, few.is_not_worse) == (0, False)
    assert many.is_not_worse
    # No worst case in n rows: 1 - 0.05 ** (1 / n) of Clopper and Pearson.
    assert few.low == pytest.approx(0.05 ** (1 / 20) - 1, abs=0.005)


def test_a_version_that_is_as_good_passes_most_of_the_time() -> None:
    random = np.random.default_rng(1)
    passed = sum(
        lower_bound(random.choice([-0.5, 0, 0.5], 500, p=[0.05, 0.9, 0.05]).tolist(), level=0.95) > -0.02
        for _ in range(40)
    )
    assert passed >= 20


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_the_bound_lies_below_the_mean_and_within_what_is_possible(values: list[float]) -> None:
    assert -1 <= lower_bound(values, level=0.95) <= np.mean(values) + 1e-9


def test_the_gate_wants_both_and_says_why() -> None:
    good, bad, invalid = score(exact=True), score(exact=False), score(exact=False, valid=False)
    passed = judge_gate([good] * 300, dict.fromkeys(range(0, 150, 3), bad), against="the base")
    assert passed.passed
    assert "the same 50 held-out rows" in passed.reasons[0]
    assert "100.0% of 300" in passed.reasons[1]
    shapeless = judge_gate(
        [good] * 195 + [invalid] * 5, dict.fromkeys(range(0, 150, 3), bad), against="the base"
    )
    assert not shapeless.passed
    assert "fewer than 99%" in shapeless.reasons[1]
    worse = judge_gate([good] * 180 + [bad] * 20, dict.fromkeys(range(200), good), against="order-reader@1")
    assert not worse.passed
    assert "order-reader@1" in worse.reasons[0]
    assert "not above" in worse.reasons[0]


def test_rows_that_do_not_pair_are_refused() -> None:
    with pytest.raises(InputError):
        compare([1.0], [1.0, 0.0])
    with pytest.raises(InputError):
        compare([], [])
