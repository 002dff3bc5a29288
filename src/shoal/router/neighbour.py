"""How near a text is to the examples of a class: cosine, averaged over the best few.

Only the classes that are in question are searched: a decision among 15,000 examples touches some hundreds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.product import product

__all__ = ["CANDIDATES", "NEAREST", "Found", "Neighbours", "build_neighbours"]

Rows = NDArray[np.float32]

NEAREST = 3
"""Examples of a class that are averaged."""
CANDIDATES = 10
"""Classes searched: the first ones by their logits."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    rows: Rows
    """(n, dimension), class after class. Widened once: doing it at each decision took a fifth of its time."""
    source: NDArray[np.intp]
    """(n,): which of the rows it was built from each one is."""
    starts: NDArray[np.intp]
    """(classes + 1,): class c is rows[starts[c] : starts[c + 1]]."""

    def search(self, query: Rows, candidates: NDArray[np.intp]) -> "Found":
        """Cosines of one query, (1, dimension), with the examples of the classes `candidates`, (m,)."""
        blocks = [slice(self.starts[which], self.starts[which + 1]) for which in candidates]
        return Found(
            classes=candidates,
            cosines=[product(query, self.rows[block].T)[0] for block in blocks],
            sources=[self.source[block] for block in blocks],
        )

    def likeness(self, query: Rows, candidates: NDArray[np.intp]) -> Rows:
        """Mean cosine of the `NEAREST` examples, (n, classes).

        Classes that are no candidates, or have no examples, get the lowest value of the row's candidates.

        Args:
            query: (n, dimension).
            candidates: (n, m), classes to look at for each row.
        """
        classes = len(self.starts) - 1
        wanted = np.zeros((len(query), classes), np.bool_)
        np.put_along_axis(wanted, candidates, values=True, axis=1)
        wanted &= np.diff(self.starts) > 0
        result = np.full((len(query), classes), np.inf, np.float32)
        for which in np.flatnonzero(wanted.any(axis=0)):
            asking = np.flatnonzero(wanted[:, which])
            block = self.rows[self.starts[which] : self.starts[which + 1]]
            result[asking, which] = _mean_of_best(product(query[asking], block.T))
        return _with_lowest(result)

    def only(self, keep: NDArray[np.bool_]) -> "Neighbours":
        """Of the rows flagged, (n,)."""
        before = np.concatenate([[0], np.cumsum(keep)])
        return Neighbours(self.rows[keep], self.source[keep], before[self.starts])


@dataclass(frozen=True, slots=True)
class Found:
    """What one query's search saw: a class's cosines, and which of the rows built from they belong to."""

    classes: NDArray[np.intp]
    cosines: list[Rows]
    sources: list[NDArray[np.intp]]

    def likeness(self, classes: int) -> Rows:
        """(1, classes): as `Neighbours.likeness`."""
        result = np.full((1, classes), np.inf, np.float32)
        for which, cosines in zip(self.classes, self.cosines, strict=True):
            if len(cosines):
                result[0, which] = _mean_of_best(cosines[None])[0]
        return _with_lowest(result)

    def nearest(self) -> list[tuple[int, float]]:
        """Sources and cosines, the nearest first: twice `NEAREST` of them, or as many as there are."""
        cosines, sources = np.concatenate(self.cosines), np.concatenate(self.sources)
        first = np.lexsort((sources, -cosines))[: 2 * NEAREST]
        return [(int(sources[i]), float(np.clip(cosines[i], -1, 1))) for i in first]


def _mean_of_best(cosines: Rows) -> Rows:
    """(n, examples of a class) to (n,)."""
    taken = min(NEAREST, cosines.shape[1])
    best = np.partition(cosines, cosines.shape[1] - taken, axis=1)[:, -taken:]
    return np.add.reduce(best, axis=1) / np.float32(taken)


def _with_lowest(likeness: Rows) -> Rows:
    """Infinite values replaced by the lowest of their row; 0 where there is none."""
    lowest = likeness.min(axis=1, keepdims=True)
    return np.where(np.isfinite(likeness), likeness, np.where(np.isfinite(lowest), lowest, np.float32(0)))


def build_neighbours(
    rows: NDArray[np.floating], labels: NDArray[np.intp], classes: int, use: NDArray[np.bool_]
) -> Neighbours:
    """Of the (n, dimension) rows flagged in `use`."""
    used = np.flatnonzero(use)
    order = used[np.argsort(labels[used], kind="stable")]
    starts = np.searchsorted(labels[order], np.arange(classes + 1))
    halves = rows[order].astype(np.float16, copy=False)  # what is saved: a router read back decides alike
    return Neighbours(halves.astype(np.float32), order, starts)
