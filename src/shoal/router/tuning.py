"""What fine-tuning gives a router: an upper half of MiniLM of its own, as bytes over the packaged weights.

The graph that is served stays the packaged one, and so do its speed, its memory and its tokenizer. Tunings
are made by a `Tuner` (`shoal.training` has one, and needs torch); reading and serving one needs no torch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tuner", "Tuning"]


@dataclass(frozen=True)
class Tuning:
    offsets: NDArray[np.int64]
    """Where in the packaged file each piece goes."""
    lengths: NDArray[np.int64]
    """Bytes of each piece."""
    content: NDArray[np.uint8]
    """All pieces, one after the other."""

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits; other numbers, other digits."""
        whole = hashlib.sha256()
        for part in (self.offsets, self.lengths, self.content):
            whole.update(np.ascontiguousarray(part).tobytes())
        return whole.hexdigest()[:12]

    def write_over(self, file: BinaryIO) -> None:
        """Put every piece in its place of a file opened for reading and writing."""
        at = 0
        for offset, length in zip(self.offsets.tolist(), self.lengths.tolist(), strict=True):
            _ = file.seek(offset)
            _ = file.write(self.content[at : at + length].tobytes())
            at += length


class Tuner(Protocol):
    """Adapts MiniLM to labelled texts."""

    def tune(
        self,
        texts: Sequence[str],
        labels: NDArray[np.intp],
        parts: Sequence[NDArray[np.bool_]],
        *,
        seed: int,
    ) -> list[Tuning]:
        """One tuning for each part.

        Args:
            texts: (n,).
            labels: (n,): classes; -1 = belongs to none.
            parts: Each (n,): the rows that this tuning may learn from.
            seed: Same rows, same seed, same machine: same tunings.
        """
        ...
