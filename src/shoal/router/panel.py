"""The scorers, side by side on one space: a linear head, one Gaussian a class, the nearest examples.

They say what they see; what it is worth is `judgement.py`'s business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.gaussian import Gaussians, fit_gaussians
from shoal.router.linear import LinearHead, fit_softmax
from shoal.router.neighbour import CANDIDATES, Found, Neighbours, build_neighbours

__all__ = ["Evidence", "Panel", "fit_panel", "fit_projection"]

Rows = NDArray[np.float32]

DIMENSIONS = 512
"""Principal directions kept; the rest of the encoder's width carries less than a tenth of a point."""
CHUNK = 2_048
NOTHING = -1e4
"""What is seen of a class that is not there; within float16."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is seen of n texts, a column a class. float16 is enough, where there are many."""

    logits: NDArray[np.floating]
    likeness: NDArray[np.floating]
    typicality: NDArray[np.floating]

    def rows(self, which: NDArray[np.bool_] | slice) -> "Evidence":
        """Not copied where they are all of them: among many rows of many classes, 14 MB."""
        if not isinstance(which, slice) and which.all():
            return self
        return Evidence(self.logits[which], self.likeness[which], self.typicality[which])

    def without(self, classes: NDArray[np.intp]) -> "Evidence":
        """As if row i's class `classes[i]` did not exist: a text that nobody is there for.

        The other classes' numbers stay what they were, though a head fitted without the class would have
        spread into its room.
        """
        at = np.arange(len(classes))
        copies = [part.copy() for part in (self.logits, self.likeness, self.typicality)]
        for part in copies:
            part[at, classes] = NOTHING
        return Evidence(*copies)

    def only(self, classes: NDArray[np.bool_]) -> "Evidence":
        """As if there were no classes but those flagged, (classes,)."""
        nothing = np.float16(NOTHING)
        parts = (self.logits, self.likeness, self.typicality)
        return Evidence(*(np.where(classes, part, nothing) for part in parts))

    def put(self, which: NDArray[np.bool_] | slice, other: "Evidence") -> None:
        """Write other's rows over the rows `which`."""
        self.logits[which] = other.logits
        self.likeness[which] = other.likeness
        self.typicality[which] = other.typicality

    @staticmethod
    def join(parts: "Sequence[Evidence]") -> "Evidence":
        """One below the other; not copied where there is but one with rows."""
        parts = [part for part in parts if len(part)] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        return Evidence(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.likeness for part in parts]),
            np.concatenate([part.typicality for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.logits)


@dataclass(frozen=True, slots=True)
class Panel:
    head: LinearHead
    gaussians: Gaussians
    neighbours: Neighbours

    def look(self, rows: Rows) -> Evidence:
        """Of (n, dimension) projected rows."""
        logits = self.head.logits(rows)
        return Evidence(
            logits=logits,
            likeness=self.neighbours.likeness(rows, _candidates(logits)),
            typicality=self.gaussians.typicality(rows),
        )

    def look_closely(self, row: Rows) -> tuple[Evidence, Found]:
        """Of one row, (1, dimension); and what its neighbours are."""
        logits = self.head.logits(row)
        found = self.neighbours.search(row, _candidates(logits)[0])
        likeness = found.likeness(logits.shape[1])
        return Evidence(logits, likeness, self.gaussians.typicality(row)), found


def _candidates(logits: NDArray[np.floating]) -> NDArray[np.intp]:
    """(n, m): the classes in question."""
    count = min(CANDIDATES, logits.shape[1])
    return np.argpartition(-logits, count - 1, axis=1)[:, :count]


def fit_panel(
    rows: NDArray[np.floating], labels: NDArray[np.intp], classes: int, use: NDArray[np.bool_]
) -> Panel:
    """Fit on the rows flagged in `use`."""
    return Panel(
        head=fit_softmax(rows, labels, classes, use),
        gaussians=fit_gaussians(rows, labels, classes, use),
        neighbours=build_neighbours(rows, labels, classes, use),
    )


def fit_projection(vectors: NDArray[np.float16]) -> Rows:
    """(width, dimension): the directions in which the vectors (n, width) lie, widest first.

    Inner products of the vectors survive; of a text that leaves their span, what is outside is dropped.
    """
    count, width = vectors.shape
    if count < width:
        values, directions = np.linalg.eigh(_gram(vectors.T, count))
        kept = _kept(values)
        wide = vectors.T.astype(np.float32) @ directions[:, kept].astype(np.float32)
        return wide / np.sqrt(values[kept]).astype(np.float32)
    values, directions = np.linalg.eigh(_gram(vectors, width))
    return np.ascontiguousarray(directions[:, _kept(values)], np.float32)


def _gram(vectors: NDArray[np.float16], width: int) -> NDArray[np.float64]:
    """vectors.T @ vectors, in pieces."""
    total = np.zeros((width, width), np.float64)
    for at in range(0, len(vectors), CHUNK):
        piece = vectors[at : at + CHUNK].astype(np.float32)
        total += piece.T @ piece
    return total


def _kept(values: NDArray[np.float64]) -> NDArray[np.intp]:
    order = np.argsort(-values, kind="stable")[:DIMENSIONS]
    return order[values[order] > 1e-6 * values.max()]
