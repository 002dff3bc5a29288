"""Scores into probabilities: a monotone map learnt on scores of rows the head had not seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "fit_calibration", "threshold_for_rejection"]

MIN_ROWS = 50
"""Below this many out-of-fold rows a curve would be noise."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Isotonic regression (Zadrozny & Elkan 2002) as knots, linear in between."""

    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    def __call__(self, score: float) -> float:
        return float(np.interp(score, self.scores, self.probabilities))


def fit_calibration(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> Calibration | None:
    """None when there are too few rows to promise anything."""
    if len(scores) < MIN_ROWS:
        return None
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, right)
    return Calibration(np.asarray(model.X_thresholds_), np.asarray(model.y_thresholds_))


def threshold_for_rejection(confidences: NDArray[np.float64], share: float) -> float:
    """The confidence under which at most `share` of the given in-scope rows fall."""
    if not len(confidences):
        return 0.0
    return float(np.quantile(confidences, share, method="lower"))
