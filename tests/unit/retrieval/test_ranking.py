"""BM25 and its mix with cosines, on texts small enough to check by hand."""

import numpy as np

from shoal.retrieval.lexical import BM25, words
from shoal.retrieval.ranking import Ranking

TEXTS = ["the cat sat", "the dog sat on the dog", "a bird flew over the very long old wooden fence"]


def test_words_of_many_scripts() -> None:
    assert words("Order A-4711: don't_wait, CAFÉ!") == ["order", "a", "4711", "don", "t", "wait", "café"]
    assert words("2016年東京都 metro 京") == ["2016", "年東", "東京", "京都", "metro", "京"]


def test_shares_are_between_none_and_all_of_the_query() -> None:
    bm25 = BM25(TEXTS)
    shares = bm25.shares("dog")
    assert shares.tolist() == [0.0, 1.0, 0.0]
    assert bm25.shares("zebra").tolist() == [0.0, 0.0, 0.0]
    both = bm25.shares("cat sat zebra")
    assert both.argmax() == 0
    assert 0 < both[1] < both[0] <= 1


def test_rare_words_count_more_than_common_ones() -> None:
    shares = BM25(TEXTS).shares("the bird")
    assert shares.argmax() == 2


def test_an_empty_index_finds_nothing() -> None:
    ranking = Ranking([], np.empty((0, 2), np.float32))
    assert ranking.search("anything", np.array([1, 0], np.float32), 5) == []


def test_words_decide_between_equal_meanings_and_the_cosine_is_what_is_told() -> None:
    vectors = np.array([[1, 0], [1, 0], [0.8, 0.6]], np.float32)
    ranking = Ranking(TEXTS, vectors)
    query = np.array([1, 0], np.float32)
    assert [row for row, _ in ranking.search("dog", query, 3)] == [1, 0, 2]
    assert [row for row, _ in ranking.search("bird fence", query, 1)] == [2]
    assert dict(ranking.search("dog", query, 3))[2] == np.float32(0.8)
    assert [row for row, _ in ranking.search("dog", query, 3, lexical_weight=0.0)] == [0, 1, 2]
