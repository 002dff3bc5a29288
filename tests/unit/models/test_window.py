"""The lower bound on a prompt's tokens: never above what there is, and near enough to find a cut."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.chat import ChatRequest, Message
from shoal.core.errors import ContextOverflow
from shoal.models.window import ENOUGH_TOKENS, LARGEST_BYTES, LEAST_BYTES, MARGIN, PromptWindow


def ask(text: str) -> ChatRequest:
    return ChatRequest(messages=(Message("user", text),))


@pytest.fixture
def window() -> PromptWindow:
    return PromptWindow("ollama:some", "num_ctx in [ollama] of shoal.toml")


def refuses(check: Callable[[], None]) -> bool:
    try:
        check()
    except ContextOverflow:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("word " * 100, 100),
        ("", 0),
        (" " * 100_000, 0),
        ("=" * 100_000, 1),
        ("ab" * 800, 1600 // LARGEST_BYTES),
        ("日本語" * 160, 160 * 9 // LARGEST_BYTES),
        ("\ud800" * 2, 1),
    ],
)
def test_the_bound_counts_words_and_bytes(window: PromptWindow, text: str, least: int) -> None:
    assert not refuses(lambda: window.check_fits(ask(text), int(least) + 1))
    if least:
        assert refuses(lambda: window.check_fits(ask(text), int(least)))


def test_without_a_window_nothing_is_refused(window: PromptWindow) -> None:
    window.check_fits(ask("word " * 1_000_000), None)


def test_what_the_engine_counts_makes_the_bound_closer(window: PromptWindow) -> None:
    text = "ab-" * 4_000
    window.check_fits(ask(text), 1_500)
    window.check_read(ask("ab-" * 1_000), 1_500, 4_096)  # 2 bytes a token: other texts have up to 8
    assert refuses(lambda: window.check_fits(ask(text), 1_500))
    window.check_fits(ask(text), 1_501)
    window.check_read(ask("ab-" * 1_000), 600, 4_096)  # 5 bytes: up to 10
    window.check_fits(ask(text), 1_201)


def test_a_count_that_is_too_small_is_a_cut_and_teaches_nothing(window: PromptWindow) -> None:
    assert refuses(lambda: window.check_read(ask("word " * 5_000), 2_048, 2_048))
    assert refuses(lambda: window.check_read(ask("word " * 5_000), 2_048, None))
    window.check_read(ask("word " * 5_000), 5_020, 8_192)


@pytest.mark.parametrize("read", [None, 0])
def test_an_engine_that_counts_nothing_is_believed(window: PromptWindow, read: int | None) -> None:
    window.check_read(ask("word " * 5_000), read, 2_048)


@given(
    bytes_a_token=st.floats(1.0, LARGEST_BYTES),
    learnt=st.lists(st.integers(ENOUGH_TOKENS, 5_000), max_size=5),
    spread=st.floats(1.0, MARGIN),
    tokens=st.integers(1, 20_000),
)
def test_a_prompt_that_fits_is_never_refused(
    bytes_a_token: float, learnt: list[int], spread: float, tokens: int
) -> None:
    """As long as a token stands for 16 bytes at most, for 8 or twice of what was seen once something was."""
    window = PromptWindow("ollama:some", "num_ctx")

    def text_of(count: int, mean: float) -> str:
        return ("ab" * (int(count * mean) // 2 + 1))[: int(count * mean)]

    for count in learnt:
        window.check_read(ask(text_of(count, bytes_a_token)), count, None)
    most = max(LEAST_BYTES, bytes_a_token * spread * 0.99) if learnt else LARGEST_BYTES
    text = text_of(tokens, min(LARGEST_BYTES, most))
    assert not refuses(lambda: window.check_fits(ask(text), tokens + 1))
    assert not refuses(lambda: window.check_read(ask(text), tokens, tokens + 1))
