"""P(acceptable) learnt from labelled attempts of one agent: the signals on one calibrated scale.

A linear score on the signals (`evidence.py`), and a logistic curve through its out-of-fold values (Platt
1999, "Probabilistic Outputs for Support Vector Machines"), so that the curve is not fitted to the score's
own optimism. The result is plain numbers: judging needs no numpy and takes microseconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.core.decision import Signals
from shoal.router.escalation.signal import SIGNALS, known_before

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Combiner", "LinearScore", "fit_combiner", "fit_score", "logistic_curve"]

FLOOR = 1e-4
"""Probabilities are kept this far from 0 and 1 before they become log-odds."""
FEATURES = 3
"""Per signal: log-odds, probability, and whether it was seen."""
PRIOR = 0.15
"""Share of the outcome's variance one signal is expected to explain."""
MAX_DEVIATIONS = 3.0
"""As in `evidence.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScore:
    """Weights on standardised features, `FEATURES` per signal in the order of `Combiner.signals`."""

    mean: tuple[float, ...]
    deviation: tuple[float | None, ...]
    """None where the feature never varied: it has no say."""
    weights: tuple[float, ...]
    bias: float

    def __call__(self, features: Sequence[float | None]) -> float:
        """A feature that is None counts as average."""
        total = self.bias
        for value, mean, deviation, weight in zip(
            features, self.mean, self.deviation, self.weights, strict=True
        ):
            if value is not None and deviation is not None:
                total += weight * max(-MAX_DEVIATIONS, min(MAX_DEVIATIONS, (value - mean) / deviation))
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Combiner:
    """Signals to P(acceptable)."""

    signals: tuple[str, ...]
    """Names of the signals it reads."""
    required: tuple[str, ...]
    """Of these, the ones that every labelled attempt had. Without them its numbers mean nothing."""
    score: LinearScore
    slope: float
    """Of the logistic curve, >= 0; 0 = the signals say nothing."""
    intercept: float
    surest: float
    """What the answer added to the score where it added most, among the labelled attempts."""
    benefit: LinearScore | None = None
    """P(large right) - P(small right); None = no rows of the large model."""

    def missing(self, signals: Signals, *, before: bool = False) -> tuple[str, ...]:
        """Required signals that were not looked at this time; `before`: of those known before the call."""
        return tuple(
            signal.name
            for signal in SIGNALS
            if signal.name in self.required and (signal.before or not before) and signal.read(signals) is None
        )

    def confidence(self, signals: Signals) -> float:
        """Calibrated P(acceptable), in (0, 1), of an answer without hard faults.

        Never above `best_confidence`: what is said before the call holds after it.
        """
        score = min(self._score(signals), self._score(known_before(signals)) + self.surest)
        return _sigmoid(self.slope * score + self.intercept)

    def best_confidence(self, signals: Signals) -> float:
        """What the confidence can come to, judged before the call: that of the surest answer seen so far.

        Only what is known before the call is read.
        """
        return _sigmoid(self.slope * (self._score(known_before(signals)) + self.surest) + self.intercept)

    def expected_benefit(self, signals: Signals) -> float | None:
        """How much likelier the large model's answer is right than this one; None = unknown."""
        return None if self.benefit is None else self.benefit(signal_features(signals, self.signals))

    def _score(self, signals: Signals) -> float:
        return self.score(signal_features(signals, self.signals))


def signal_features(signals: Signals, names: Sequence[str]) -> list[float | None]:
    features: list[float | None] = []
    for signal in SIGNALS:
        if signal.name in names:
            value = signal.read(signals)
            if value is None:
                features += [None, None, 0.0]
            else:
                kept = min(1 - FLOOR, max(FLOOR, value))
                features += [math.log(kept / (1 - kept)), value, 1.0]
    return features


def fit_combiner(
    attempts: Sequence[Signals], acceptable: Sequence[bool], large: Sequence[bool] | None = None
) -> tuple[Combiner, list[float]]:
    """The combiner, and the confidence each attempt would get from one that has not seen it.

    Args:
        attempts: signals of labelled attempts without hard faults, at least one.
        acceptable: whether each answer was.
        large: whether the large model's answer to the same was; None = not known for all of them.
    """
    import numpy as np

    seen = {signal.name: sum(signal.read(attempt) is not None for attempt in attempts) for signal in SIGNALS}
    names = tuple(name for name, times in seen.items() if times)
    rows = [signal_features(attempt, names) for attempt in attempts]
    matrix = np.array(rows, np.float64).reshape(len(rows), FEATURES * len(names))
    right = np.array(acceptable, np.float64)
    score, out_of_fold = fit_score(matrix, right)
    slope, intercept = logistic_curve(out_of_fold, right)
    added = [
        score(row) - score(signal_features(known_before(attempt), names))
        for row, attempt in zip(rows, attempts, strict=True)
    ]
    benefit = None
    if large is not None:
        benefit, _ = fit_score(matrix, np.array(large, np.float64) - right)
    combiner = Combiner(
        signals=names,
        required=tuple(name for name in names if seen[name] == len(attempts)),
        score=score,
        slope=slope,
        intercept=intercept,
        surest=max(added),
        benefit=benefit,
    )
    return combiner, [_sigmoid(slope * float(value) + intercept) for value in out_of_fold]


def fit_score(
    matrix: "NDArray[np.float64]", outcome: "NDArray[np.float64]"
) -> tuple[LinearScore, "NDArray[np.float64]"]:
    """Fit (rows, features), NaN = not seen, and the out-of-fold predictions (rows,)."""
    import numpy as np

    from shoal.router.escalation.evidence import Group, fit_evidence

    means = np.nanmean(matrix, axis=0) if matrix.size else np.zeros(matrix.shape[1])
    filled = np.where(np.isnan(matrix), means, matrix)
    groups = [
        Group(name=str(start), values=filled[:, start : start + FEATURES], prior=PRIOR)
        for start in range(0, matrix.shape[1], FEATURES)
    ] or [Group(name="nothing", values=np.zeros((len(outcome), 1)), prior=PRIOR)]
    fit = fit_evidence(groups, outcome)
    width = matrix.shape[1]
    score = LinearScore(
        mean=tuple(fit.mean.tolist()[:width]),
        deviation=tuple(None if math.isinf(value) else value for value in fit.scale.tolist()[:width]),
        weights=tuple(fit.weights.tolist()[:width]),
        bias=fit.bias,
    )
    return score, fit.out_of_fold


def logistic_curve(scores: "NDArray[np.float64]", outcome: "NDArray[np.float64]") -> tuple[float, float]:
    """Slope (>= 0) and intercept of P(outcome = 1), by Newton steps on Platt's smoothed targets."""
    import numpy as np

    rows, positive = len(outcome), float(outcome.sum())
    target = np.where(outcome > 0, (positive + 1) / (positive + 2), 1 / (rows - positive + 2))
    base = math.log(target.mean() / (1 - target.mean()))
    spread = float(scores.std())
    if spread < 1e-9:
        return 0.0, base
    design = np.column_stack([(scores - scores.mean()) / spread, np.ones(rows)])
    beta = np.array([0.0, base])
    for _ in range(25):
        predicted = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        hessian = design.T @ (design * (predicted * (1 - predicted))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (target - predicted))
        beta += step
        if float(np.abs(step).max()) < 1e-8:
            break
    if beta[0] <= 0:
        return 0.0, base
    slope = float(beta[0]) / spread
    return slope, float(beta[1]) - slope * float(scores.mean())


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
