import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from shoal.router.encoder import LayeredMiniLM, Vectors


class WordEncoder:
    """Texts as bags of hashed words: an `Encoder` that costs nothing, for laws that hold for any."""

    id = "words/32"

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), 32), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in ["", *text.split()]:
                row[zlib.crc32(word.encode()) % 32] += 1
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def words() -> WordEncoder:
    return WordEncoder()


@pytest.fixture(scope="session")
def minilm() -> LayeredMiniLM:
    return LayeredMiniLM(threads=1)
