"""Ridge regression whose strengths the data choose: one a group of features.

A few hundred labelled rows cannot pay for cross-validating the weight of every kind of signal. Here every
group of features has one variance; all are chosen together by maximising the evidence (MacKay 1992,
"Bayesian Interpolation"; Tipping 2001, "Sparse Bayesian Learning"), held back by a prior, so that a group
that explains nothing fades and cannot spoil the rest. Out-of-fold predictions come in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EvidenceFit", "Group", "fit_evidence"]

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

ROUNDS = 30
"""Fixed-point updates; the variances settle within about 15."""
PRIOR_ROWS = 8.0
"""How many weights of its own a group must determine before it outweighs its prior."""
MAX_DEVIATIONS = 3.0
"""A feature further from its mean than this counts as this far: one odd row must not decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Features that rise and fall in importance together."""

    name: str
    values: Matrix
    """(rows, features)."""
    prior: float
    """Share of the outcome's variance it is expected to explain before any row is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFit:
    """A linear model over the groups it was fitted on, in their order."""

    mean: Vector
    scale: Vector
    """Standard deviation a feature, infinite where it never varied."""
    weights: Vector
    bias: float
    out_of_fold: Vector
    """(rows,): what each training row would be given by a fit without it (variances kept)."""
    strength: dict[str, float]
    """Share of the outcome's variance per group, after the fit."""

    def predict(self, groups: Sequence[Matrix]) -> Vector:
        """(rows,) from matrices like those of the fit."""
        return standardise(np.hstack(groups), self.mean, self.scale) @ self.weights + self.bias


def fit_evidence(groups: Sequence[Group], outcome: Vector) -> EvidenceFit:
    """Fit `outcome` (rows,), finite, on standardised features.

    An outcome that never varies gives a constant.
    """
    raw = np.hstack([group.values for group in groups])
    mean, deviation = raw.mean(axis=0), raw.std(axis=0)
    scale = np.where(deviation > 1e-9, deviation, np.inf)
    features = standardise(raw, mean, scale)
    middle = features.mean(axis=0)  # clipping moves the mean a little
    features = features - middle
    bias, variance = float(outcome.mean()), float(outcome.var())
    if variance == 0:
        weights = np.zeros(features.shape[1])
        strength = dict.fromkeys((group.name for group in groups), 0.0)
        return EvidenceFit(
            mean=mean, scale=scale, weights=weights, bias=bias, out_of_fold=outcome.copy(), strength=strength
        )
    owner = np.repeat(np.arange(len(groups)), [group.values.shape[1] for group in groups])
    width = np.bincount(owner, minlength=len(groups)).astype(np.float64)
    target = np.array([group.prior for group in groups]) * variance / width
    variances, noise = _maximise(features, outcome - bias, owner, target)
    covariance = _covariance(features, variances[owner], noise)
    weights = covariance @ (features.T @ (outcome - bias)) / noise
    leverage = np.einsum("ij,jk,ik->i", features, covariance, features, optimize=True) / noise + 1 / len(
        outcome
    )
    residual = outcome - bias - features @ weights
    return EvidenceFit(
        mean=mean,
        scale=scale,
        weights=weights,
        bias=bias - float(middle @ weights),
        out_of_fold=outcome - residual / np.maximum(1 - leverage, 1e-6),
        strength={
            group.name: float(v * w / variance) for group, v, w in zip(groups, variances, width, strict=True)
        },
    )


def standardise(raw: Matrix, mean: Vector, scale: Vector) -> Matrix:
    return np.clip((raw - mean) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def _maximise(
    features: Matrix, outcome: Vector, owner: NDArray[np.intp], target: Vector
) -> tuple[Vector, float]:
    """Variance of a weight per group, and of the noise, by MacKay's fixed point with a prior."""
    rows = len(outcome)
    variances, noise = target.copy(), float(outcome.var())
    gram, moment = features.T @ features, features.T @ outcome
    energy = float(outcome @ outcome)
    for _ in range(ROUNDS):
        covariance = np.linalg.inv(gram / noise + np.diag(1 / variances[owner]))
        weights = covariance @ moment / noise
        determined = 1 - np.diag(covariance) / variances[owner]
        known = np.bincount(owner, determined, len(target))
        power = np.bincount(owner, weights**2, len(target))
        variances = (power + PRIOR_ROWS * target) / (known + PRIOR_ROWS)
        misfit = energy - 2 * float(weights @ moment) + float(weights @ gram @ weights)
        noise = max(misfit / max(rows - float(known.sum()), 1.0), 1e-3 * energy / rows)
    return variances, noise


def _covariance(features: Matrix, variances: Vector, noise: float) -> Matrix:
    precision: Matrix = features.T @ features / noise + np.diag(1 / variances)
    return np.asarray(np.linalg.inv(precision), np.float64)
