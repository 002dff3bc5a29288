"""Amounts of money in a text: £12, EUR 1.234,56, 50p, two hundred dollars.

Reads, never guesses: what has no currency is a number, not money, and a spelling that could mean two
amounts is read by the habit of its currency (`_parse_number`). Weights in pounds are beyond it.
"""

import re
from collections.abc import Iterable
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from tools.found import Found

__all__ = ["Money", "find_money"]


class Money(BaseModel):
    model_config = ConfigDict(frozen=True)

    amount: Decimal
    currency: str
    """ISO 4217 code. "$" alone is read as USD, "kr" is not read: three currencies use it."""


UNITS = {
    "GBP": ("£", "gbp", "pounds sterling", "pounds", "pound", "quid"),
    "EUR": ("€", "eur", "euros", "euro"),
    "USD": ("us$", "$", "usd", "us dollars", "us dollar", "dollars", "dollar", "bucks"),
    "AUD": ("a$", "aud", "australian dollars"),
    "CHF": ("chf", "swiss francs", "francs", "sfr"),
    "PLN": ("pln", "zloty"),
    "SEK": ("sek", "swedish kronor"),
    "NOK": ("nok", "norwegian kroner"),
    "DKK": ("dkk", "danish kroner"),
    "JPY": ("¥", "jpy", "yen"),
}
CENTS = {"p": "GBP", "pence": "GBP", "penny": "GBP", "cents": "USD", "cent": "USD"}
CODE = {unit: code for code, units in UNITS.items() for unit in units}
POINT_GROUPS = frozenset({"EUR", "CHF", "PLN", "SEK", "NOK", "DKK"})
"""Currencies of countries where 1.234 is one thousand two hundred and thirty-four."""
FACTOR = {"": 1, "k": 1_000, "m": 1_000_000, "million": 1_000_000, "thousand": 1_000}

ONES = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = {
    "a": 1,
    "an": 1,
    **{word: value for value, word in enumerate(ONES + TEENS)},
    **{word: 10 * at for at, word in enumerate(TENS, start=2)},
}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}


def _any_of(units: Iterable[str]) -> str:
    return "|".join(re.escape(unit) for unit in sorted(units, key=len, reverse=True))


NUMBER = r"\d+(?:[.,'\u2019\u00a0\u202f ]\d{3})*(?:[.,]\d{1,3})?(?!\d)"
SCALE = r"(?:k\b|m\b|\ ?million\b|\ ?thousand\b)?"
UNIT = rf"(?:{_any_of(CODE)})(?!\w)"
UNIT_BEFORE = rf"(?:{_any_of(CODE)})(?![^\W\d])"
CENT = rf"(?:{_any_of(CENTS)})(?!\w|\.m)"
SPELT = rf"(?:{'|'.join([*WORDS, *SCALES])})"
MONEY = re.compile(
    rf"""
      (?<![\w.,]) (?P<minus>-)? (?P<before>{UNIT_BEFORE})\ ? (?P<first>{NUMBER}) (?P<first_scale>{SCALE})
    | (?<![\w.,/£€$¥]) (?P<negative>-)? (?P<last>{NUMBER}) (?P<last_scale>{SCALE})[\ -]? (?P<after>{UNIT})
    | (?<![\w.,£€$¥]) (?P<small>\d{{1,2}})\ ? (?P<cents>{CENT})
    | \b (?P<spelt>{SPELT}(?:[\ -](?:and\ )?{SPELT}){{0,9}}+)\ (?P<spelt_unit>{UNIT}|{CENT})
    """,
    re.VERBOSE | re.IGNORECASE,
)


def find_money(text: str) -> tuple[Found[Money], ...]:
    """Amounts in the order of the text."""
    return tuple(Found(_read(match), *match.span()) for match in MONEY.finditer(text))


def _read(match: re.Match[str]) -> Money:
    if match["before"]:
        return _money(match["first"], match["first_scale"], match["before"], minus=bool(match["minus"]))
    if match["after"]:
        return _money(match["last"], match["last_scale"], match["after"], minus=bool(match["negative"]))
    if match["cents"]:
        return Money(amount=Decimal(match["small"]) / 100, currency=CENTS[match["cents"].lower()])
    unit, amount = match["spelt_unit"].lower(), Decimal(_parse_words(match["spelt"]))
    return (
        Money(amount=amount, currency=CODE[unit])
        if unit in CODE
        else Money(amount=amount / 100, currency=CENTS[unit])
    )


def _money(number: str, scale: str, unit: str, *, minus: bool) -> Money:
    currency = CODE[unit.lower()]
    amount = _parse_number(number, currency) * FACTOR[scale.strip().lower()]
    return Money(amount=-amount if minus else amount, currency=currency)


def _parse_number(text: str, currency: str) -> Decimal:
    """The last mark is the decimal point, unless three digits follow it and it can group thousands."""
    marks = re.findall(r"[.,]", text)
    digits = re.sub(r"[^\d.,]", "", text)
    if not marks:
        return Decimal(digits)
    whole, _, fraction = digits.rpartition(marks[-1])
    groups = len(fraction) == 3 and (
        marks.count(marks[-1]) > 1 or (len(marks) == 1 and (marks[-1] == "," or currency in POINT_GROUPS))
    )
    whole = re.sub("[.,]", "", whole)
    return Decimal(whole + fraction) if groups else Decimal(f"{whole}.{fraction}")


def _parse_words(text: str) -> int:
    """250 for "two hundred and fifty"; scales multiply what stands before them."""
    total = part = 0
    for word in re.split(r"[\s-]+", text.lower()):
        if word in WORDS:
            part += WORDS[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in SCALES:
            total, part = total + max(part, 1) * SCALES[word], 0
    return total + part
