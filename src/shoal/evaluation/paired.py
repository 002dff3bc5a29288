"""The gate: two versions on the same held-out rows, and whether the new one may go live.

Non-inferiority of a mean: the lower bound of (new - old), one-sided, must lie above minus the margin. The
bound is Gaffke's (2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
nonnegative variable"; Phan, Thomas & Learned-Miller 2021, "Towards Practical Mean Bounds for Small Samples"):
random weights on the rows, as in the Bayesian bootstrap, and on one row more, of the worst difference there
can be. It assumes no distribution; of differences that take two values it is Clopper and Pearson's. A plain
bootstrap would say of five equal rows that nothing can be worse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shoal.core.errors import InputError
from shoal.evaluation.extraction import RowScore
from shoal.specialists import Gate

__all__ = ["Comparison", "compare", "judge_gate", "lower_bound"]

MARGIN = 0.02
"""Of a row's field F1. Of versions that are just as good, and differ by a half on every tenth of 500 rows,
four in five pass (simulated); with 0.01 one in four would. A wider one would let visible losses in."""
LEVEL = 0.95
LEAST_VALID = 0.99
WORST = -1.0
DRAWS, AT_ONCE = 5_000, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions on the same rows."""

    rows: int
    difference: float
    """Mean of (new - old), in [-1, 1]."""
    low: float
    """Lower bound of it, one-sided, at `level`."""
    margin: float
    level: float

    @property
    def is_not_worse(self) -> bool:
        return self.low > -self.margin


def compare(
    new: Sequence[float], old: Sequence[float], *, margin: float = MARGIN, level: float = LEVEL
) -> Comparison:
    """Compare scores in [0, 1], row by row.

    Raises:
        InputError: no rows, or not the same number of both.
    """
    if not new or len(new) != len(old):
        raise InputError(
            f"{len(new)} scores of one version and {len(old)} of the other cannot be compared row by row"
        )
    differences = [one - other for one, other in zip(new, old, strict=True)]
    return Comparison(
        rows=len(differences),
        difference=float(np.mean(differences)),
        low=lower_bound(differences, level=level),
        margin=margin,
        level=level,
    )


def lower_bound(differences: Sequence[float], *, level: float, seed: int = 0) -> float:
    """What the mean lies above, at this level; of values in [-1, 1], at least one of them."""
    random = np.random.default_rng(seed)
    values = np.append(np.array(differences, np.float64), WORST)
    means = np.empty(DRAWS)
    for start in range(0, DRAWS, AT_ONCE):
        weights = random.standard_exponential((AT_ONCE, len(values)))
        means[start : start + AT_ONCE] = weights @ values / weights.sum(1)
    return float(np.quantile(means, 1 - level))


def judge_gate(new: Sequence[RowScore], old: Mapping[int, RowScore], *, against: str) -> Gate:
    """Whether a version may go live.

    Args:
        new: its scores on all held-out rows.
        old: those of what it would replace, by their places among these rows: all, or a random sample.
        against: what it would replace, for a person.
    """
    found = compare([new[place].f1 for place in old], [row.f1 for row in old.values()])
    valid = sum(row.valid for row in new) / len(new)
    passed = found.is_not_worse and valid >= LEAST_VALID
    compared = (
        f"Against {against} on the same {found.rows} held-out rows: mean field F1 of a row"
        f" {found.difference:+.3f}, at least {found.low:+.3f} with {found.level:.0%} confidence;"
        f" {'above' if found.is_not_worse else 'not above'} the margin of {-found.margin:+.3f}."
    )
    shaped = (
        f"{valid:.1%} of {len(new)} answers have the promised shape;"
        f" {'at least' if valid >= LEAST_VALID else 'fewer than'} {LEAST_VALID:.0%}."
    )
    return Gate(passed=passed, reasons=(compared, shaped))
