"""Card digits and reference numbers in a text. Of a whole card number only the last four digits come out."""

import re

__all__ = ["find_card_digits", "find_references"]

CARD = re.compile(
    r"""
      (?<!\d) (?:\d[\ -]?){12,18}\d (?!\d)                                   # a whole card number
    | (?:ending|ends|finishing)(?:\ (?:in|with|on))?:?\ (?P<ending>\d{4})\b   # card ending (in) 4821
    | (?:\*|x|X|\u2022){2,}[\ -]?(?P<masked>\d{4})\b                          # **** 4821
    | last\ (?:four|4)\ (?:digits\ )?(?:are\ |is\ |of\ |:\ )?(?P<last>\d{4})\b
    | \bcard\ (?:no\.?\ |number\ )?(?P<plain>\d{4})\b (?![\d-])                # card 4821
    """,
    re.VERBOSE | re.IGNORECASE,
)
REFERENCE = re.compile(
    r"""
    \b(?:order|booking|reference|invoice|ticket|case|membership|transaction|ref)\b [.:]?
    (?:\ (?:number|no|id|code)\b)? (?:\ is\b)? [.:]? \ ? \#?
    (?P<value>(?=[\w/-]{4}) [A-Z]{0,4}[-/]?\d[\dA-Z]*(?:[-/][\dA-Z]+)*)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""The word that says what it is, then the number, of at least four characters: "order 2 pairs" has none."""


def find_card_digits(text: str) -> tuple[str, ...]:
    """The last four digits of the cards named, in order, each once."""
    return tuple(dict.fromkeys(four for match in CARD.finditer(text) if (four := _last_four(match))))


def find_references(text: str) -> tuple[str, ...]:
    """Numbers of orders, bookings, invoices and the like, as written, each once."""
    return tuple(dict.fromkeys(match["value"] for match in REFERENCE.finditer(text)))


def _last_four(match: re.Match[str]) -> str | None:
    """What the words name; of a whole number, its end, if it can be a card's (Luhn's check digit fits)."""
    if match.lastgroup is not None:
        return match[match.lastgroup]
    digits = [int(character) for character in reversed(match[0]) if character.isdigit()]
    total = sum(sum(divmod(digit * (1 + at % 2), 10)) for at, digit in enumerate(digits))
    return "".join(str(digit) for digit in reversed(digits[:4])) if total % 10 == 0 else None
