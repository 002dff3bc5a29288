"""BM25 over the chunks of an index: finds the names, numbers and rare words that embeddings blur.

Our own sixty lines rather than scikit-learn: that has TF-IDF but no BM25, and takes over a second to import.
Kept in memory, never stored: it is computed from the chunks, so that it cannot disagree with them.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BM25"]

K1 = 1.2
"""How fast repeating a word stops counting (Robertson & Zaragoza 2009)."""
B = 0.75
"""How much a long chunk is marked down, in [0, 1]."""

UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Writing without spaces between words: Thai, Lao, kana, Han; and hangul, whose words carry endings."""
WORD = re.compile(rf"(?P<run>[{UNSPACED}]+)|[^\W_{UNSPACED}]+")


class BM25:
    """Okapi BM25 (Robertson et al. 1994)."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([max(1, count.total()) for count in counts], np.float32)
        mean = float(lengths.mean()) if texts else 1.0
        postings: dict[str, tuple[list[int], list[int]]] = {}
        for row, count in enumerate(counts):
            for word, times in count.items():
                rows, frequencies = postings.setdefault(word, ([], []))
                rows.append(row)
                frequencies.append(times)
        self._size = len(texts)
        self._weights: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}
        for word, (rows, frequencies) in postings.items():
            at, tf = np.array(rows, np.int32), np.array(frequencies, np.float32)
            idf = math.log(1 + (len(texts) - len(rows) + 0.5) / (len(rows) + 0.5))
            saturated = tf * (K1 + 1) / (tf + K1 * (1 - B + B * lengths[at] / mean))
            self._weights[word] = (at, (idf * saturated).astype(np.float32))

    def shares(self, query: str) -> NDArray[np.float32]:
        """How much of the query each text matches: its BM25 over the sum of its words' best, in [0, 1].

        Shape (number of texts,). BM25 itself has no scale: its best score says nothing about how good the
        best match is. Words that no text has do not count.
        """
        scores = np.zeros(self._size, np.float32)
        best = 0.0
        for word in set(words(query)):
            if word in self._weights:
                rows, weights = self._weights[word]
                scores[rows] += weights
                best += float(weights.max())
        return scores / best if best > 0 else scores


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded; pairs of characters where writing has no spaces."""
    found: list[str] = []
    for match in WORD.finditer(text.casefold()):
        run = match[0]
        found += [run[at : at + 2] for at in range(max(1, len(run) - 1))] if match["run"] else [run]
    return found
