"""Vectors that can be trusted to stay the same, and tokens that say where they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.retrieval.embedder import MAX_TOKENS, MiniLM

EMBEDDER = MiniLM(threads=2)


def test_vectors_have_the_promised_shape_and_length() -> None:
    vectors = EMBEDDER.embed(["a cat", "", "東京" * 600, "\0"])
    assert vectors.shape == (4, EMBEDDER.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert EMBEDDER.embed([]).shape == (0, EMBEDDER.dimension)


def test_a_vector_does_not_depend_on_its_neighbours_or_on_threads() -> None:
    texts = [f"sentence {number} about {'cats and ' * number}dogs" for number in range(12)]
    together = EMBEDDER.embed(texts)
    alone = np.concatenate([MiniLM(threads=1).embed([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_like_is_near_like() -> None:
    question, near, far = EMBEDDER.embed(
        ["How do I get my money back?", "Refunds are paid to your card.", "Penguins cannot fly."]
    )
    assert question @ near > question @ far + 0.2


def test_the_end_of_a_long_text_counts() -> None:
    filler = "nothing of note happened. " * (MAX_TOKENS // 4)
    plain, ended = EMBEDDER.embed([filler, filler + "volcano " * MAX_TOKENS])
    (volcano,) = EMBEDDER.embed(["volcano"])
    assert volcano @ ended > volcano @ plain + 0.1


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200))
def test_token_spans_are_in_order_and_within_the_text(text: str) -> None:
    spans = EMBEDDER.token_spans(text)
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)


@pytest.mark.parametrize(
    ("text", "tokens"), [("holiday", 1), ("x" * 400, 100), ("ภาษาไทยมากมาย", 4), ("a cat", 2)]
)
def test_words_the_vocabulary_cannot_spell_count_by_their_length(text: str, tokens: int) -> None:
    assert len(EMBEDDER.token_spans(text)) == tokens
