"""Who was paid: the capitalised name that a sentence or a line of a list puts beside an amount.

Patterns, not knowledge: a name in lower-case letters is not seen, and a station can pass for a shop.
"""

import re
from collections.abc import Sequence

from tools.found import Found

__all__ = ["find_payees"]

WORD = r"(?<!\w)[A-Z][\w&'\u2019-]{0,30}+"
NAME = rf"{WORD}(?:\ (?:(?:of|for|de|du|and|am|&)\ )?{WORD}){{0,5}}+"
NOT_A_PAYEE = re.compile(
    r"(?:I|We|On|In|My|The|An?|It|He|She|They|This|Please|Dear|Card|Visa|Mastercard|Apple\ Pay|Google\ Pay"
    r"|Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)(?:day)?\b"
)
PATTERNS = [
    # £20 at Lidl, to Maria Schulz, from the hotel Miramar
    rf"\b(?:at|to|from|by|with)\ (?:the\ )?(?:hotel\ )?(?P<name>{NAME})",
    # FitLife took ..., the hotel Miramar in Lisbon has charged ...
    rf"(?P<name>{NAME})(?:\ in\ {NAME})?\ (?:has\ |had\ )?(?:took|taken|charged|collected|debited|billed)\b",
    # lines of a list: TESCO STORES £23.10
    rf"(?:^|[\ufffc\ufffd,:;)-])\ *(?:and\ )?(?P<name>{NAME})[,:]?\ *(?=\ufffc)",
    # lines of a list: £23.10 TESCO STORES
    rf"\ufffc\ (?P<name>{NAME})",
]
COMPILED = [re.compile(pattern, re.MULTILINE) for pattern in PATTERNS]


def find_payees(
    text: str, amounts: Sequence[Found[object]], dates: Sequence[Found[object]]
) -> tuple[Found[str], ...]:
    """Names in the order of the text, given where its amounts and dates stand."""
    masked = _mask(_mask(text, dates, "\ufffd"), amounts, "\ufffc")
    names = {
        match.span("name"): match["name"]
        for pattern in COMPILED
        for match in pattern.finditer(masked)
        if not NOT_A_PAYEE.match(match["name"])
    }
    return tuple(Found(name, *span) for span, name in sorted(names.items()))


def _mask(text: str, found: Sequence[Found[object]], mark: str) -> str:
    """The same length, with a mark for every character of what was found."""
    characters = list(text)
    for one in found:
        characters[one.start : one.end] = mark * (one.end - one.start)
    return "".join(characters)
