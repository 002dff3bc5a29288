"""How near a text is to the examples of a class: cosine, averaged over the best few.

Only the classes that are in question are searched: a decision among 15,000 examples touches some hundreds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.product import product

__all__ = ["CANDIDATES", "NEAREST", "Neighbours", "build_neighbours"]

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

    def similarities(self, query: Rows, which: int) -> Rows:
        """(n, dimension) to (n, examples of class `which`): cosines."""
        block = self.rows[self.starts[which] : self.starts[which + 1]]
        return product(query, block.T)

    def nearest(self, query: Rows, candidates: NDArray[np.intp]) -> list[tuple[int, float]]:
        """Sources and cosines of the rows nearest to one query, (1, dimension), the nearest first.

        Twice `NEAREST` of them, or as many as the candidates have.
        """
        blocks = [slice(self.starts[which], self.starts[which + 1]) for which in candidates]
        cosines = np.concatenate([self.similarities(query, int(which))[0] for which in candidates])
        sources = np.concatenate([self.source[block] for block in blocks])
        first = np.lexsort((sources, -cosines))[: 2 * NEAREST]
        return [(int(sources[i]), float(np.clip(cosines[i], -1, 1))) for i in first]

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
            found = self.similarities(query[asking], int(which))
            taken = min(NEAREST, found.shape[1])
            best = np.partition(found, found.shape[1] - taken, axis=1)[:, -taken:]
            result[asking, which] = best.mean(axis=1)
        lowest = result.min(axis=1, keepdims=True)
        return np.where(np.isfinite(result), result, np.where(np.isfinite(lowest), lowest, 0.0))


def build_neighbours(
    rows: NDArray[np.floating], labels: NDArray[np.intp], classes: int, use: NDArray[np.bool_]
) -> Neighbours:
    """Of the (n, dimension) rows flagged in `use`."""
    used = np.flatnonzero(use)
    order = used[np.argsort(labels[used], kind="stable")]
    starts = np.searchsorted(labels[order], np.arange(classes + 1))
    halves = rows[order].astype(np.float16, copy=False)  # what is saved: a router read back decides alike
    return Neighbours(halves.astype(np.float32), order, starts)
