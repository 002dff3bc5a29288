"""The checks on what the small model writes in small talk."""

import pytest

from tools.courtesy import apologises_for_nothing, is_one_line, says_nothing_of_money


@pytest.mark.parametrize(
    "answer", ["Hello! How can I help you today?", "You're welcome, and have a nice day!"]
)
def test_friendly_lines_pass(answer: str) -> None:
    assert is_one_line("hi", answer)
    assert says_nothing_of_money("hi", answer)
    assert apologises_for_nothing("hi", answer)


@pytest.mark.parametrize(
    "answer",
    ["Your refund is on its way!", "I have sent 20 of them.", "Your cards are safe.", "The fees are low."],
)
def test_nothing_is_promised_in_passing(answer: str) -> None:
    assert not says_nothing_of_money("thanks", answer)


def test_one_line_is_short_and_one() -> None:
    assert not is_one_line("hi", "Hello!\nHello!")
    assert not is_one_line("hi", "so " * 21)


def test_no_apology_where_nothing_happened() -> None:
    assert not apologises_for_nothing("are you there?", "I'm sorry for your loss, but I am.")
