"""`likeness` of short texts by their letters."""

from hypothesis import given
from hypothesis import strategies as st

from tools.likeness import likeness


def test_typos_and_endings_cost_little_other_words_all() -> None:
    assert likeness("my tranfer is pending", "My transfer is pending!") > 0.8
    assert likeness("transfers pending", "transfer pending") > 0.8
    assert likeness("swallowed card", "no money") < 0.1


def test_case_and_punctuation_do_not_count() -> None:
    assert likeness("Where's my PIN?", "where s my pin") == 1.0


@given(st.text(max_size=40), st.text(max_size=40))
def test_symmetric_and_between_0_and_1(first: str, second: str) -> None:
    assert likeness(first, second) == likeness(second, first)
    assert 0.0 <= likeness(first, second) <= 1.0
