"""The vectors of the last short texts: a request is split and its parts are then decided, embedded once."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from shoal.router.encoder import Encoder, Vectors

__all__ = ["RecentVectors"]

TEXTS = 256
CHARACTERS = 400
"""Longer texts are not remembered."""


class RecentVectors:
    """An `Encoder` in front of another one. Safe to share between threads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = Lock()

    @property
    def id(self) -> str:
        return self._encoder.id

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`."""
        with self._lock:
            found = {text: self._known[text] for text in texts if text in self._known}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= zip(missing, self._encoder.encode(missing), strict=True)
            with self._lock:
                self._known |= {text: found[text] for text in missing if len(text) <= CHARACTERS}
                while len(self._known) > TEXTS:
                    _ = self._known.popitem(last=False)
        return np.stack([found[text] for text in texts]) if texts else self._encoder.encode(texts)
