"""How well a score orders the rows of a cascade: APGR, CPT, AUROC, calibration error.

Definitions of Ong et al. 2024, "RouteLLM": PGR is the part of the gap between the small and the large model
that was closed, APGR the area under it over the share of calls to the large model, CPT(x) the share at which
x of the gap is closed. 11 thresholds from ten equally filled bins of the score, trapezoids between.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Curve",
    "apgr",
    "auroc",
    "calibration_error",
    "calls_to_close",
    "gain_curve",
    "interval",
    "oracle_scores",
]

Vector = NDArray[np.float64]

BINS = 10
RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Curve:
    """Points from "all small" to "all large"."""

    share: Vector
    """Of the calls that go to the large model, ascending from 0 to 1."""
    recovered: Vector
    """PGR at that share: 0 = as good as the small model, 1 = as the large one."""


def gain_curve(scores: Vector, small: Vector, large: Vector) -> Curve | None:
    """The curve of a score, higher = escalate first; None where the two models are equally good.

    Args:
        scores: (rows,), finite.
        small: (rows,) 1 where the small model was right, else 0.
        large: the same of the large model.
    """
    if not len(scores) or large.mean() == small.mean():
        return None
    share, right = [0.0], [float(small.mean())]
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)))
    for threshold in edges[-2::-1] if len(edges) > 1 else edges:
        escalated = scores >= threshold
        share.append(float(escalated.mean()))
        right.append(float(np.where(escalated, large, small).mean()))
    gap = float(large.mean() - small.mean())
    return Curve(np.array(share), (np.array(right) - float(small.mean())) / gap)


def oracle_scores(small: Vector, large: Vector) -> Vector:
    """The order of one who knows all outcomes. Each row has its own score: tied ones would go together."""
    gain = large - small
    return np.argsort(np.argsort(gain, kind="stable"), kind="stable").astype(np.float64)


def apgr(scores: Vector, small: Vector, large: Vector) -> float | None:
    """Area under the curve: 0.5 = as good as chance. None where there is no curve."""
    curve = gain_curve(scores, small, large)
    return None if curve is None else float(np.trapezoid(curve.recovered, curve.share))


def calls_to_close(curve: Curve, part: float) -> float:
    """Least share of calls, in [0, 1], at which `part` of the gap is closed."""
    reached = int(np.argmax(curve.recovered >= part))
    if reached == 0:
        return float(curve.share[0])
    (x0, x1), (y0, y1) = curve.share[reached - 1 : reached + 1], curve.recovered[reached - 1 : reached + 1]
    return float(x0 + (x1 - x0) * (part - y0) / (y1 - y0))


def auroc(confidences: Vector, right: NDArray[np.bool_]) -> float | None:
    """P(a right answer has the higher confidence than a wrong one), ties half; None with one class."""
    good, bad = np.sort(confidences[right]), confidences[~right]
    if not len(good) or not len(bad):
        return None
    below, upto = np.searchsorted(good, bad, "left"), np.searchsorted(good, bad, "right")
    return 1 - float((below + upto).mean()) / 2 / len(good)


def calibration_error(confidences: Vector, right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017), in [0, 1]."""
    places = np.minimum((confidences * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(places, confidences - right, BINS)
    return float(np.abs(gaps).sum() / len(confidences))


def interval(
    measure: Callable[[NDArray[np.intp]], float | None], rows: int, *, seed: int = 0
) -> tuple[float, float] | None:
    """Where a measure of the rows picked would fall with other rows of the same kind: 95 %, bootstrap."""
    picks = np.random.default_rng(seed).integers(0, rows, (RESAMPLES, rows))
    values = [value for pick in picks if (value := measure(pick)) is not None]
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
