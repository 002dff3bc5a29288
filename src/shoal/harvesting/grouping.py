"""Vectors into groups, without being told how many: average linkage on cosine distance, cut where it fits.

The cut is the one with the highest mean silhouette (Rousseeuw 1987); whether a group is there at all, and not
an accident of these very rows, is told by clustering subsamples (Hennig 2007, "Cluster-wise assessment of
cluster stability"): a group that is not found again in them is not named.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grouping", "group_vectors"]

Floats = NDArray[np.float32]
Labels = NDArray[np.intp]
SUBSAMPLES, SHARE = 10, 0.8
"""How often, and on which part of the rows, it is done again."""
FINEST = 3
"""Cuts are looked at up to so many rows a group on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    labels: Labels
    """(n,) number of each row's group, 0, 1, ... in the order of the first row."""
    silhouette: float
    """Mean over the rows, in [-1, 1]."""
    stability: tuple[float, ...]
    """Per group, how much of it is found again in subsamples: mean of the best Jaccard share, in [0, 1]."""


def group_vectors(vectors: Floats, *, seed: int = 0) -> Grouping:
    """Groups of rows of length 1, (n, width), n >= 2. Some seconds for two thousand."""
    distances = _distances(vectors)
    labels, silhouette = _best_cut(distances)
    random = np.random.default_rng(seed)
    found: list[list[float]] = [[] for _ in range(int(labels.max()) + 1)]
    for _ in range(SUBSAMPLES):
        rows = np.sort(random.choice(len(vectors), max(2, int(SHARE * len(vectors))), replace=False))
        again, _ = _best_cut(distances[np.ix_(rows, rows)])
        for group, values in enumerate(found):
            if (share := _found_again(labels[rows] == group, again)) is not None:
                values.append(share)
    stability = tuple(float(np.mean(values)) if values else 0.0 for values in found)
    return Grouping(labels=labels, silhouette=silhouette, stability=stability)


def _distances(vectors: Floats) -> Floats:
    distances = np.maximum(1.0 - vectors @ vectors.T, 0.0).astype(np.float32)
    np.fill_diagonal(distances, 0.0)
    return distances


def _found_again(members: NDArray[np.bool_], labels: Labels) -> float | None:
    """The best Jaccard share of a group with a group of the subsample; None = no member is in it."""
    if not members.any():
        return None
    inside = np.bincount(labels[members], minlength=int(labels.max()) + 1)
    sizes = np.bincount(labels, minlength=len(inside))
    return float(np.max(inside / (sizes + members.sum() - inside)))


def _best_cut(distances: Floats) -> tuple[Labels, float]:
    """Labels and mean silhouette of the best cut through the tree, between two groups and n / `FINEST`."""
    count = len(distances)
    merges = _average_linkage(distances)
    finest = max(2, count // FINEST)
    labels = _labels(merges[: count - finest], count)
    best, best_labels = -2.0, labels
    sums = np.zeros((count, finest), np.float64)
    for group in range(finest):
        sums[:, group] = distances[:, labels == group].sum(axis=1)
    sizes = np.bincount(labels, minlength=finest).astype(np.float64)
    for one, other in [*merges[count - finest : count - 2], (None, None)]:
        value = _silhouette(sums, sizes, labels)
        if value > best:
            best, best_labels = value, labels.copy()
        if one is None or other is None:
            break
        kept, gone = labels[one], labels[other]
        sums[:, kept] += sums[:, gone]
        sizes[kept] += sizes[gone]
        sizes[gone] = 0.0
        labels[labels == gone] = kept
    _, first, inverse = np.unique(best_labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse], best


def _silhouette(sums: NDArray[np.float64], sizes: NDArray[np.float64], labels: Labels) -> float:
    alive = sizes > 0
    rows = np.arange(len(labels))
    own = sizes[labels]
    inside = sums[rows, labels] / np.maximum(own - 1, 1)
    others = np.where(alive, sums / np.maximum(sizes, 1), np.inf)
    others[rows, labels] = np.inf
    outside = others.min(axis=1)
    widest = np.maximum(np.maximum(inside, outside), 1e-12)
    return float(np.mean(np.where(own > 1, (outside - inside) / widest, 0.0)))


def _average_linkage(distances: Floats) -> list[tuple[int, int]]:
    """All n - 1 merges, nearest first; each names a row of either side.

    Nearest-neighbour chain (Murtagh 1983).
    """
    near = distances.astype(np.float64)
    np.fill_diagonal(near, np.inf)
    count = len(near)
    sizes = np.ones(count)
    merges: list[tuple[float, int, int]] = []
    chain: list[int] = []
    alive = 0
    while len(merges) < count - 1:
        if not chain:
            while not sizes[alive]:
                alive += 1
            chain.append(alive)
        here = chain[-1]
        nearest = int(near[here].argmin())
        # The one it came from wins a tie: otherwise equal distances could lead in a circle.
        if len(chain) > 1 and near[here, chain[-2]] <= near[here, nearest]:
            nearest = chain[-2]
        if len(chain) < 2 or nearest != chain[-2]:
            chain.append(nearest)
            continue
        del chain[-2:]
        merges.append((float(near[here, nearest]), here, nearest))
        both = sizes[here] + sizes[nearest]
        mean = (sizes[here] * near[here] + sizes[nearest] * near[nearest]) / both
        near[here, :] = near[:, here] = mean
        near[nearest, :] = near[:, nearest] = np.inf
        near[here, here] = np.inf
        sizes[here], sizes[nearest] = both, 0.0
    return [(one, other) for _, one, other in sorted(merges, key=lambda merge: merge[0])]


def _labels(merges: list[tuple[int, int]], count: int) -> Labels:
    """Numbers 0, 1, ... of the groups after these merges."""
    parent = np.arange(count)

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for one, other in merges:
        parent[root(other)] = root(one)
    return np.unique([root(row) for row in range(count)], return_inverse=True)[1]
