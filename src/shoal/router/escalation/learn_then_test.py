"""Which threshold can be promised: selective risk control on rows that nothing was fitted on.

"Learn then test" (Angelopoulos, Bates, Candès, Jordan & Lei 2021, arXiv:2110.01052) with fixed-sequence
testing and exact binomial tails (Clopper & Pearson 1934). Thresholds come in an order fixed beforehand;
each is tested for "more than max_error of the answers kept are wrong", and the walk ends at the first
that cannot be ruled out. Whatever the scores are worth, the promise then fails with probability at most
1 - level over the draw of the rows.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Promise", "binomial_tail", "choose_thresholds", "error_bound", "rows_needed", "walk_thresholds"]

STEPS = 25
"""Thresholds on the list. More find the edge more exactly, and end the walk early more often."""
HOPE = 0.1
"""The walk begins where the p-value expected is this much smaller than the one allowed."""
POWER = 0.8
"""`rows_needed` answers "with how many rows would it work four times out of five?"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The last threshold that passed, with what was counted there."""

    threshold: float
    kept: int
    wrong: int
    bound: float
    """Upper confidence bound of the share of wrong answers among those kept."""


def binomial_tail(wrong: int, kept: int, rate: float) -> float:
    """P(at most `wrong` of `kept` are wrong) if each is with probability `rate`; 1 when none is kept."""
    if wrong >= kept:
        return 1.0
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    log_all = math.lgamma(kept + 1)
    terms = (
        log_all - math.lgamma(k + 1) - math.lgamma(kept - k + 1) + k * log_rate + (kept - k) * log_rest
        for k in range(wrong + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def error_bound(wrong: int, kept: int, level: float) -> float:
    """Clopper-Pearson upper bound of a rate, in [0, 1]; 1 when nothing was counted."""
    if wrong >= kept:
        return 1.0
    low, high = wrong / kept, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if binomial_tail(wrong, kept, middle) > 1 - level else (low, middle)
    return high


def choose_thresholds(
    scores: Sequence[float], wrong: Sequence[bool], *, tested: int, max_error: float, level: float
) -> list[float]:
    """The thresholds to test and their order, from rows that will not be tested.

    From strict to loose, beginning at the first that is expected to pass with room to spare: the very
    strictest keep too few answers to prove anything, and with a poor score they may even be the worst
    (compare "Pareto testing", Laufer-Goldshtein et al. 2023).

    Args:
        scores: of the fitting rows, out of fold; an answer is kept when its score is at least the threshold.
        wrong: whether each of them was wrong.
        tested: rows that will be tested.
        max_error: share of wrong answers among those kept that is to be ruled out.
        level: how surely.
    """
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    ends = sorted({max(1, round(len(order) * step / STEPS)) for step in range(1, STEPS + 1)})
    errors = 0
    hopes: list[tuple[float, float]] = []
    begin = 0
    for end in ends:
        errors += sum(wrong[row] for row in order[begin:end])
        begin = end
        kept = round(tested * end / len(order))
        expected = round(kept * (errors + 0.5) / (end + 1))
        hopes.append((binomial_tail(expected, kept, max_error), scores[order[end - 1]]))
    safe = HOPE * (1 - level)
    likely = min(range(len(hopes)), key=lambda step: hopes[step][0])
    start = next((step for step, (tail, _) in enumerate(hopes) if tail <= safe), likely)
    return [threshold for _, threshold in hopes[start:]]


def walk_thresholds(
    scores: Sequence[float],
    wrong: Sequence[bool],
    thresholds: Sequence[float],
    *,
    max_error: float,
    level: float,
) -> Promise | None:
    """The loosest threshold that can be promised; None when already the first cannot.

    `scores` and `wrong` are of rows that neither the score nor the thresholds were made from.
    """
    promise = None
    for threshold in thresholds:
        judged = [bad for score, bad in zip(scores, wrong, strict=True) if score >= threshold]
        kept, errors = len(judged), sum(judged)
        if binomial_tail(errors, kept, max_error) > 1 - level:
            break
        promise = Promise(
            threshold=threshold, kept=kept, wrong=errors, bound=error_bound(errors, kept, level)
        )
    return promise


def rows_needed(
    scores: Sequence[float], wrong: Sequence[bool], *, max_error: float, level: float, tested_share: float
) -> int | None:
    """Labelled rows with which a promise is likely; None = even the surest answers are wrong too often.

    Normal approximation at the best threshold of the rows at hand: an estimate for planning, no promise.

    Args:
        scores: of all rows at hand.
        wrong: whether each was wrong.
        max_error: as to be promised.
        level: as to be promised.
        tested_share: part of the labelled rows that is tested; the others are fitted on.
    """
    normal = statistics.NormalDist()
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    fewest = math.log(1 - level) / math.log(1 - max_error)
    best = math.inf
    errors = 0
    for end, row in enumerate(order, start=1):
        errors += wrong[row]
        rate = (errors + 1) / (end + 2)
        if errors == 0:
            rate = min(rate, max_error / 2)  # so few rows that one wrong would be too many, and none was
        if rate >= max_error:
            continue
        spread = normal.inv_cdf(level) * math.sqrt(max_error * (1 - max_error))
        spread += normal.inv_cdf(POWER) * math.sqrt(rate * (1 - rate))
        kept = max(fewest, (spread / (max_error - rate)) ** 2)
        best = min(best, kept * len(order) / end / tested_share)
    return None if math.isinf(best) else math.ceil(best)
