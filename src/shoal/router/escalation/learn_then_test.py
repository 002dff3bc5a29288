"""Which threshold can be promised: selective risk control on rows that nothing was fitted on.

"Learn then test" (Angelopoulos, Bates, Candès, Jordan & Lei 2021, arXiv:2110.01052) with fixed-sequence
testing and exact binomial tails (Clopper & Pearson 1934). Thresholds come in an order fixed beforehand;
each is tested for "more than max_error of the answers kept are wrong", and the walk ends at the first
that cannot be ruled out. Whatever the scores are worth, the promise then fails with probability at most
1 - level over the draw of the rows.

The thresholds come from the confidences of the tested rows, never from their outcomes. Given a threshold
that keeps k of them, the errors among these are k independent draws, whatever made the confidences.
"""

import hashlib
import itertools
import math
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = [
    "FITTED_SHARE",
    "Promise",
    "binomial_tail",
    "choose_thresholds",
    "divide",
    "error_bound",
    "explain_shortfall",
    "rows_needed",
    "seek_promise",
    "walk_thresholds",
]

T = TypeVar("T")

FITTED_SHARE = 0.2
"""Part of the rows that is fitted on. What the signals are worth needs few rows, the promise many."""
STEPS = 25
"""Thresholds on the list. More find the edge more exactly, and end the walk early more often."""
HOPE = 0.03
"""The walk begins where the p-value expected is this much smaller than the one allowed."""
POWER = 0.8
"""`rows_needed` answers "with how many rows would it work four times out of five?"."""
HANDFUL = 5, 10
"""Fewer of the surest rows than a tenth of all, within these limits, say nothing of the error among them:
some are all right by luck."""


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


def divide(rows: Sequence[T], key: Callable[[T], str]) -> tuple[list[T], list[T]]:
    """Rows to fit on, and rows to test on: by their keys alone, so that their order does not matter."""
    ordered = sorted(rows, key=lambda row: hashlib.sha256(key(row).encode()).digest())
    edge = max(1, round(len(ordered) * FITTED_SHARE))
    return ordered[:edge], ordered[edge:]


def seek_promise(
    confidences: Sequence[float], wrong: Sequence[bool], *, max_error: float, level: float
) -> Promise | None:
    """The loosest threshold that can be promised; None when there is none.

    Args:
        confidences: P(right) of rows that its model was not fitted on; below 0 = never to be kept.
        wrong: whether each of them was wrong.
        max_error: share of wrong answers among those kept that is to be ruled out, in (0, 1).
        level: how surely, in (0, 1).
    """
    thresholds = choose_thresholds(confidences, max_error=max_error, level=level)
    return walk_thresholds(confidences, wrong, thresholds, max_error=max_error, level=level)


def choose_thresholds(confidences: Sequence[float], *, max_error: float, level: float) -> list[float]:
    """The thresholds to test and their order, without a look at who was wrong.

    From strict to loose, beginning at the first that passes with room to spare if the confidences mean
    what they say: the very strictest keep too few answers to prove anything (compare "Pareto testing",
    Laufer-Goldshtein et al. 2023). Where they mean something else, less is promised; nothing false is.
    Empty where even all rows, and none of them wrong, would be too few.
    """
    order = sorted((value for value in confidences if value >= 0), reverse=True)
    if not order:
        return []
    doubts = list(itertools.accumulate(1 - min(1.0, value) for value in order))
    steps = {max(1, round(len(order) * step / STEPS)) for step in range(1, STEPS + 1)}
    # What a threshold keeps, rows of equal confidence together.
    kept = sorted({bisect_right(order, -order[step - 1], key=lambda value: -value) for step in steps})
    # A threshold that keeps too few to pass even with none of them wrong would end the walk for certain.
    # That is told by the confidences alone, no outcome is read, so leaving it out costs no certainty.
    ends = [end for end in kept if binomial_tail(0, end, max_error) <= 1 - level]
    if not ends:
        return []
    hopes = [binomial_tail(round(doubts[end - 1]), end, max_error) for end in ends]
    safe = HOPE * (1 - level)
    likely = min(range(len(ends)), key=hopes.__getitem__)
    start = next((step for step, tail in enumerate(hopes) if tail <= safe), likely)
    return [order[end - 1] for end in ends[start:]]


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
    scores: Sequence[float], wrong: Sequence[bool], *, max_error: float, level: float
) -> int | None:
    """Labelled rows with which a promise is likely; None = even the surest answers are wrong too often.

    Normal approximation at the best threshold of the rows at hand: an estimate for planning, no promise. It
    may be less than the rows at hand, whose walk then fell short by chance: see `explain_shortfall`.

    Args:
        scores: of all rows at hand; below 0 = never to be kept.
        wrong: whether each was wrong.
        max_error: as to be promised.
        level: as to be promised.
    """
    normal = statistics.NormalDist()
    order = sorted((pair for pair in zip(scores, wrong, strict=True) if pair[0] >= 0), reverse=True)
    fewest = math.log(1 - level) / math.log(1 - max_error)
    few = min(max(HANDFUL[0], len(scores) // 10), HANDFUL[1], len(scores))
    best = math.inf
    errors = 0
    for end, (score, bad) in enumerate(order, start=1):
        errors += bad
        if end < few or (end < len(order) and order[end][0] == score):
            continue  # so few tell nothing; between equal confidences there is no threshold
        rate = (errors + 1) / (end + 2)
        if errors == 0:
            rate = min(rate, max_error / 2)  # so few rows that one wrong would be too many, and none was
        if rate >= max_error:
            continue
        spread = normal.inv_cdf(level) * math.sqrt(max_error * (1 - max_error))
        spread += normal.inv_cdf(POWER) * math.sqrt(rate * (1 - rate))
        kept = max(fewest, (spread / (max_error - rate)) ** 2)
        best = min(best, kept * len(scores) / end / (1 - FITTED_SHARE))
    return None if math.isinf(best) else math.ceil(best)


def explain_shortfall(*, rows: int, needed: int | None) -> str:
    """Why nothing is promised, as half a sentence for a person.

    Args:
        rows: labelled ones at hand, those fitted on included.
        needed: what `rows_needed` says of them.
    """
    if needed is None:
        return "even the surest answers are wrong too often, so no number of rows would do"
    if needed > rows:
        return f"of {rows} rows about {needed} are needed"
    return f"{rows} rows may do, but the walk over the thresholds ended early by chance: more rows help"
