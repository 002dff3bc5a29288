"""Multinomial logistic regression, fitted with L-BFGS in plain numpy.

Not SciPy's: importing it costs 41 MB, and it brings a second BLAS whose threads turn idly beside numpy's.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.product import product

__all__ = ["LinearHead", "fit_softmax", "softmax"]

Rows = NDArray[np.float32]
Flat = NDArray[np.float64]
Objective = Callable[[Flat], tuple[float, Flat]]

STRENGTH = 20.0
"""C of the ridge penalty |W|^2 / 2C, on rows of length 1. 5 to 100 differ by less than half a point."""
BALANCE = 0.5
"""A row counts by its class's size to the power of minus this. At 0 a class of 5 rows beside one of 3,000 is
never heard; at 1 it is heard too often."""
ITERATIONS = 100
MEMORY = 8
"""Pairs of steps and gradient changes that L-BFGS remembers."""
CHUNK = 2_048
"""Rows worked on at a time: bounds the memory, not the result."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    weights: Rows
    """(dimension, classes)."""
    bias: Rows
    """(classes,)."""

    def logits(self, rows: Rows) -> Rows:
        """(n, dimension) to (n, classes)."""
        return product(rows, self.weights) + self.bias


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Along the last axis."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def fit_softmax(
    rows: NDArray[np.floating], labels: NDArray[np.intp], classes: int, use: NDArray[np.bool_]
) -> LinearHead:
    """Fit on the rows flagged in `use`.

    Args:
        rows: (n, dimension).
        labels: (n,), in [0, classes).
        classes: How many there are; those without a row end up unlikely everywhere.
        use: (n,); the other rows are passed over, without a copy of the rows being made.
    """
    dimension = rows.shape[1]
    chunks = [slice(at, at + CHUNK) for at in range(0, len(rows), CHUNK)]
    counts = np.bincount(labels[use], minlength=classes)
    shares = np.maximum(counts, 1.0) ** -BALANCE
    shares *= len(labels[use]) / float(shares @ counts)  # 1 on average, so that STRENGTH means the same

    def objective(flat: Flat) -> tuple[float, Flat]:
        head = _unflatten(flat, dimension, classes)
        loss, slope = 0.0, np.zeros((dimension + 1, classes), np.float64)
        for chunk in chunks:
            part, truth = rows[chunk][use[chunk]].astype(np.float32), labels[chunk][use[chunk]]
            p = softmax(head.logits(part))
            at, share = np.arange(len(truth)), shares[truth]
            loss -= float(share @ np.log(np.maximum(p[at, truth], 1e-30), dtype=np.float64))
            p[at, truth] -= 1
            p *= share[:, None].astype(np.float32)
            slope[:-1] += part.T @ p
            slope[-1] += p.sum(axis=0)
        slope[:-1] += head.weights / STRENGTH
        return loss + 0.5 / STRENGTH * float((head.weights.astype(np.float64) ** 2).sum()), slope.ravel()

    start = np.zeros((dimension + 1) * classes, dtype=np.float64)
    return _unflatten(_minimise(objective, start), dimension, classes)


def _unflatten(flat: Flat, dimension: int, classes: int) -> LinearHead:
    matrix = flat.reshape(dimension + 1, classes).astype(np.float32)
    return LinearHead(matrix[:-1], matrix[-1])


def _minimise(objective: Objective, start: Flat) -> Flat:
    """L-BFGS (Nocedal 1980) with a halving line search."""
    at, (value, slope) = start, objective(start)
    pairs: deque[tuple[Flat, Flat]] = deque(maxlen=MEMORY)
    for _ in range(ITERATIONS):
        direction = -_times_inverse_hessian(slope, pairs)
        descent = float(slope @ direction)
        step = 1.0 if pairs else 1.0 / max(1e-12, float(np.linalg.norm(slope)))
        for _ in range(20):
            there = at + step * direction
            new_value, new_slope = objective(there)
            if new_value <= value + 1e-4 * step * descent:
                break
            step /= 2
        else:
            return at  # as low as float32 can tell
        moved, turned = there - at, new_slope - slope
        if float(moved @ turned) > 1e-12:
            pairs.append((moved, turned))
        gained, at, value, slope = value - new_value, there, new_value, new_slope
        if gained <= 1e-7 * max(1.0, abs(value)):
            break
    return at


def _times_inverse_hessian(slope: Flat, pairs: deque[tuple[Flat, Flat]]) -> Flat:
    result = slope.copy()
    shares: list[float] = []
    for moved, turned in reversed(pairs):
        share = float(moved @ result) / float(moved @ turned)
        shares.append(share)
        result -= share * turned
    if pairs:
        moved, turned = pairs[-1]
        result *= float(moved @ turned) / float(turned @ turned)
    for (moved, turned), share in zip(pairs, reversed(shares), strict=True):
        result += moved * (share - float(turned @ result) / float(moved @ turned))
    return result
