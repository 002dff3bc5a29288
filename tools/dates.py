"""Dates in a text. What could mean two days, or no day that exists, keeps its words and has no date.

3/4/2026 is March to some and April to others; "yesterday" needs to know what today is.
"""

import re
from collections.abc import Callable
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from tools.found import Found

__all__ = ["When", "find_dates"]


class When(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str
    """As it stands in the mail."""
    day: date | None
    """None = the words alone do not say which day."""


def find_dates(text: str, *, today: date | None = None) -> tuple[Found[When], ...]:
    """Dates in the order of the text.

    With `today`, "yesterday", "last Friday" and "4 March" (its last occurrence) have a day as well.
    """
    matches = [(match, read) for pattern, read in READERS for match in pattern.finditer(text)]
    dates: list[Found[When]] = []
    for match, read in sorted(matches, key=lambda pair: (pair[0].start(), -pair[0].end())):
        if not dates or match.start() >= dates[-1].end:
            dates.append(Found(When(text=match[0], day=read(match, today)), *match.span()))
    return tuple(dates)


def _read_numbers(match: re.Match[str], _today: date | None) -> date | None:
    return _date(match["year"], match["month"], match["day"])


def _read_slashes(match: re.Match[str], _today: date | None) -> date | None:
    """A day only where one order of day and month is possible."""
    year = match["year"] if len(match["year"]) == 4 else f"20{match['year']}"
    readings = {_date(year, match["right"], match["left"]), _date(year, match["left"], match["right"])} - {
        None
    }
    return readings.pop() if len(readings) == 1 else None


def _read_month(match: re.Match[str], today: date | None) -> date | None:
    month = MONTHS.index(match["month"][:3].lower()) + 1
    if match["year"]:
        return _date(match["year"], month, match["day"])
    if today is None:
        return None
    day = _date(today.year, month, match["day"])
    return _date(today.year - 1, month, match["day"]) if day is not None and day > today else day


def _read_ago(match: re.Match[str], today: date | None) -> date | None:
    count = match["count"].lower()
    number = int(count) if count.isdigit() else COUNTS[count]
    return today and today - timedelta(days=number * (7 if match["unit"].lower() == "week" else 1))


def _read_weekday(match: re.Match[str], today: date | None) -> date | None:
    if today is None:
        return None
    behind = (today.weekday() - WEEKDAYS.index(match["weekday"][:3].lower())) % 7
    return today - timedelta(days=behind or 7)


def _read_near(match: re.Match[str], today: date | None) -> date | None:
    return today and today - timedelta(days=match[0].lower() in ("yesterday", "last night"))


def _date(year: str | int, month: str | int, day: str | int) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


FIRST_HALF = ("january", "february", "march", "april", "may", "june")
SECOND_HALF = ("july", "august", "september", "october", "november", "december")
NAMES = FIRST_HALF + SECOND_HALF
MONTHS = [name[:3] for name in NAMES]
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}

MONTH = rf"(?P<month>sept|{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in NAMES)})\b(?:\.(?=\ \d))?"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
YEAR = r"(?:,?\ (?P<year>\d{4}))?"

Reader = Callable[[re.Match[str], date | None], date | None]
READERS: list[tuple[re.Pattern[str], Reader]] = [
    (re.compile(pattern, re.IGNORECASE), read)
    for pattern, read in (
        (r"(?<![\d-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\d-])", _read_numbers),
        (r"(?<![\d.])(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})(?!\d)", _read_numbers),
        (r"(?<![\d/])(?P<left>\d{1,2})/(?P<right>\d{1,2})/(?P<year>\d{4}|\d{2})(?![\d/])", _read_slashes),
        (rf"\b{DAY}\ (?:of\ )?{MONTH}{YEAR}", _read_month),
        (rf"\b{MONTH}\ (?:the\ )?{DAY}\b{YEAR}", _read_month),
        (rf"\b(?P<count>\d{{1,2}}|{'|'.join(COUNTS)})\ (?P<unit>day|week)s?\ ago\b", _read_ago),
        (rf"\blast\ (?P<weekday>{'|'.join(WEEKDAYS)})[a-z]*\b", _read_weekday),
        (r"\b(?:yesterday|today|this\ morning|last\ night)\b", _read_near),
    )
]
"""The longest of several readings of one place counts."""
