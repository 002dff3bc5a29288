"""`find_dates`: days where the words name one, and the words alone where they do not."""

from datetime import date

import pytest

from tools.dates import find_dates

TODAY = date(2026, 11, 21)
"""A Saturday."""


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 2026-03-04 at noon", date(2026, 3, 4)),
        ("13/4/2026", date(2026, 4, 13)),
        ("4/13/26", date(2026, 4, 13)),
        ("5/5/2026", date(2026, 5, 5)),
        ("04.03.2026", date(2026, 3, 4)),
        ("4 March 2026", date(2026, 3, 4)),
        ("March 4th, 2026", date(2026, 3, 4)),
        ("the 4th of August 2026.", date(2026, 8, 4)),
        ("sept 5 2026", date(2026, 9, 5)),
        ("29 Feb. 2028", date(2028, 2, 29)),
    ],
)
def test_a_full_date_is_a_day(text: str, day: date | None) -> None:
    assert [found.value.day for found in find_dates(text)] == [day]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("on 3/4/2026", "3/4/2026"),
        ("on 31/02/2026", "31/02/2026"),
        ("on 30 February 2026", "30 February 2026"),
        ("on 2026-13-01", "2026-13-01"),
        ("on May 5", "May 5"),
        ("charged yesterday.", "yesterday"),
        ("it was last Friday!", "last Friday"),
        ("two days ago", "two days ago"),
    ],
)
def test_what_names_no_day_keeps_its_words(text: str, words: str) -> None:
    assert [(found.value.text, found.value.day) for found in find_dates(text)] == [(words, None)]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("yesterday", date(2026, 11, 20)),
        ("last night", date(2026, 11, 20)),
        ("today", TODAY),
        ("last Friday", date(2026, 11, 20)),
        ("last Saturday", date(2026, 11, 14)),
        ("two days ago", date(2026, 11, 19)),
        ("3 weeks ago", date(2026, 10, 31)),
        ("on 4 March", date(2026, 3, 4)),
        ("on 24 December", date(2025, 12, 24)),
        ("on 3/4/2026", None),
    ],
)
def test_today_gives_relative_words_a_day(text: str, day: date | None) -> None:
    assert [found.value.day for found in find_dates(text, today=TODAY)] == [day]


@pytest.mark.parametrize("text", ["24/7 service", "market 5", "1/2", "10.5 %", "the last four digits", ""])
def test_no_dates(text: str) -> None:
    assert find_dates(text) == ()


def test_finds_all_in_order_and_says_where() -> None:
    text = "from 1 May 2026 to 2026-06-01"

    assert [text[one.start : one.end] for one in find_dates(text)] == ["1 May 2026", "2026-06-01"]
