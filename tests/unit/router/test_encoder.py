import numpy as np
import pytest

from shoal.retrieval.embedder import MiniLM
from shoal.router.encoder import MAX_CHARACTERS, LayeredMiniLM

TEXTS = ["where is my parcel?", "", "a", "the invoice of march", "b", "parcel " * 400, "我的包裹", "c"]


def test_the_last_layer_is_what_the_embedder_gives(minilm: LayeredMiniLM) -> None:
    """But for the rounding of what the matrices are multiplied by."""
    text = "send me the invoice for march"
    last = minilm.encode([text])[0, -384:].astype(np.float32)
    assert last / np.linalg.norm(last) @ MiniLM(threads=1).embed([text])[0] == pytest.approx(1.0, abs=2e-3)


def test_a_vector_depends_neither_on_its_neighbours_nor_on_the_threads(minilm: LayeredMiniLM) -> None:
    alone = np.concatenate([minilm.encode([text]) for text in TEXTS])
    assert np.array_equal(alone, minilm.encode(TEXTS))
    assert np.array_equal(alone, LayeredMiniLM(threads=2).encode(TEXTS))


def test_texts_of_29_lengths_get_the_same_bits_alone_and_together(minilm: LayeredMiniLM) -> None:
    words = ["where", "is", "the", "red", "bike", "that", "my", "sister", "paid", "for", "on", "monday"]
    texts = [" ".join(words[(3 * i + j) % len(words)] for j in range(1 + i % 29)) for i in range(232)]
    alone = np.concatenate([minilm.encode([text]) for text in texts])
    assert np.array_equal(alone, minilm.encode(texts))


def test_every_vector_is_finite_and_of_length_one(minilm: LayeredMiniLM) -> None:
    vectors = minilm.encode(TEXTS).astype(np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=2e-3)
    assert minilm.encode([]).shape == (0, vectors.shape[1])


def test_of_a_long_text_both_ends_are_read(minilm: LayeredMiniLM) -> None:
    filler = "and so on " * MAX_CHARACTERS
    plain, start, end = minilm.encode([filler, "penguins " * 50 + filler, filler + "penguins " * 50])
    assert not np.array_equal(plain, start)
    assert not np.array_equal(plain, end)
