"""How typical a text is of a class: the relative Mahalanobis distance.

One Gaussian a class with a shared covariance, against one Gaussian for everything (Ren et al. 2021, "A simple
fix to Mahalanobis distance for improving near-OOD detection"). Used to notice requests that belong to no
class; as a classifier it is weaker than logistic regression and is not asked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.product import product

__all__ = ["Gaussians", "fit_gaussians"]

Rows = NDArray[np.float32]

PRIOR_ROWS = 3.0
"""Weight of a round covariance, in rows per dimension: few rows say little about 512 x 512 numbers."""

NARROWEST = 0.01
"""Least sum of variances; the rows are of length 1. A class may have but one row, or the same one often."""
FARTHEST = 10_000.0
CHUNK = 2_048
"""Rows worked on at a time: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    weights: Rows
    """(dimension, classes)."""
    bias: Rows
    """(classes,)."""
    curve: Rows
    """(dimension, dimension): inverse covariance of everything minus that within classes."""
    tilt: Rows
    """(dimension,)."""
    level: Rows
    """()."""

    def typicality(self, rows: Rows) -> Rows:
        """(n, dimension) to (n, classes): distance from everything minus distance from the class."""
        background = (
            (product(rows, self.curve) * rows).sum(axis=1) - (rows * self.tilt).sum(axis=1) + self.level
        )
        found = 2 * (product(rows, self.weights) + self.bias) + background[:, None]
        return np.clip(found, -FARTHEST, FARTHEST)


def fit_gaussians(
    rows: NDArray[np.floating], labels: NDArray[np.intp], classes: int, use: NDArray[np.bool_]
) -> Gaussians:
    """Fit on the (n, dimension) rows flagged in `use`; a class without rows sits in the middle of all."""
    dimension = rows.shape[1]
    sums, total = np.zeros((classes, dimension), np.float32), np.zeros((dimension, dimension), np.float32)
    for at in range(0, len(rows), CHUNK):
        taken = use[at : at + CHUNK]
        part = rows[at : at + CHUNK][taken].astype(np.float32)
        np.add.at(sums, labels[at : at + CHUNK][taken], part)
        total += part.T @ part
    sizes = np.bincount(labels[use], minlength=classes)
    count, middle = int(sizes.sum()), sums.sum(axis=0) / sizes.sum()
    means = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], middle)
    # Both scatters from one product: that within classes is the total less that of the class means.
    within = total - (means * sizes[:, None]).T @ means
    share = PRIOR_ROWS * dimension / (PRIOR_ROWS * dimension + count)
    inner = _inverse(within / max(1, count - int((sizes > 0).sum())), share)
    outer = _inverse(total / count - np.outer(middle, middle), share)
    weights = inner @ means.T
    return Gaussians(
        weights=weights.astype(np.float32),
        bias=(-0.5 * (means.T * weights).sum(axis=0)).astype(np.float32),
        curve=(outer - inner).astype(np.float32),
        tilt=(2 * outer @ middle).astype(np.float32),
        level=np.asarray(middle @ outer @ middle, np.float32),
    )


def _inverse(covariance: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """Of the covariance, mixed with a round one of the same size."""
    dimension = len(covariance)
    size = max(float(np.trace(covariance)), NARROWEST) / dimension
    mixed = (1 - share) * covariance.astype(np.float64) + share * size * np.eye(dimension)
    return np.linalg.inv(mixed).astype(np.float64)
