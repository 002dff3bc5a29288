"""Texts that are nearly the same: found by MinHash, told by how many of their shingles they share.

MinHash with banding (Broder 1997; Leskovec et al., "Mining of Massive Datasets", ch. 3): 64 hashes in 8 bands
of 8 make a pair that shares 90 % of its shingles a candidate with 99 %, one that shares half with 3 %. Every
candidate is then compared exactly.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Groups", "near_pairs", "normalise"]

SHINGLE = 5
"""Characters."""
BANDS, IN_BAND = 8, 8
COMPARED = 8
"""A text is compared with as many others of its bucket at most: of ten thousand texts of one template each
is found to be like its first ones, without fifty million comparisons."""
CHUNK = 4096
"""Shingles hashed at once."""
Shingles = NDArray[np.uint64]


def normalise(text: str) -> str:
    """A text without differences in case, spacing and ways to write the same character."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def near_pairs(texts: Sequence[str], *, at_least: float) -> list[tuple[int, int]]:
    """Places of texts that share this part of their shingles (Jaccard, in (0, 1]); the earlier one first.

    Not every pair of a large group is named, but every text of it with some other one.
    """
    shingles = [_shingles(text) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for place, signature in enumerate(_signatures(shingles)):
        for band in range(BANDS):
            part = signature[band * IN_BAND : (band + 1) * IN_BAND]
            buckets[band, part.tobytes()].append(place)
    candidates = {
        (first, other)
        for members in buckets.values()
        for at, other in enumerate(members)
        for first in members[: min(at, COMPARED)]
    }
    return [
        (one, other)
        for one, other in sorted(candidates)
        if _share(shingles[one], shingles[other]) >= at_least
    ]


class Groups:
    """Things that belong together, by their places: union-find."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def join(self, pairs: Iterable[tuple[int, int]]) -> None:
        for one, other in pairs:
            first, second = sorted((self._root(one), self._root(other)))
            self._parent[second] = first

    def all(self) -> list[list[int]]:
        """Every group, by its first member; members in order."""
        members: dict[int, list[int]] = defaultdict(list)
        for place in range(len(self._parent)):
            members[self._root(place)].append(place)
        return list(members.values())

    def _root(self, place: int) -> int:
        while self._parent[place] != place:
            self._parent[place] = self._parent[self._parent[place]]
            place = self._parent[place]
        return place


def _shingles(text: str) -> Shingles:
    """(n,) sorted hashes of the runs of five characters; at least one."""
    padded = f"{normalise(text):{SHINGLE}}"
    codes = np.frombuffer(padded.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE + 1, np.uint64)
    for at in range(SHINGLE):  # a polynomial that wraps around at 2**64
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[at : at + len(hashes)]
    return np.unique(hashes)


def _signatures(shingles: Sequence[Shingles]) -> NDArray[np.uint64]:
    """(texts, 64): the least of every hash function over a text's shingles."""
    random = np.random.default_rng(0)
    factors = random.integers(0, 2**63, BANDS * IN_BAND, np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = random.integers(0, 2**63, BANDS * IN_BAND, np.uint64)
    signatures = np.full((len(shingles), BANDS * IN_BAND), 2**64 - 1, np.uint64)
    for place, hashes in enumerate(shingles):
        for start in range(0, len(hashes), CHUNK):
            mixed = hashes[start : start + CHUNK, None] * factors + offsets
            mixed ^= mixed >> np.uint64(32)  # the low bits of a product know little of the high ones
            np.minimum(signatures[place], mixed.min(0), out=signatures[place])
    return signatures


def _share(one: Shingles, other: Shingles) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
