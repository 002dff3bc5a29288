"""Checks for small talk: a friendly line that promises nothing and says nothing about anybody's money."""

import re

__all__ = ["apologises_for_nothing", "is_one_line", "says_nothing_of_money"]

MAX_WORDS = 20
BUSINESS = re.compile(
    r"\d|\b(?:account|balance|bank|card|cash|charge|fee|fund|loan|money|pay|payment|pin|refund|transfer)s?\b",
    re.IGNORECASE,
)
APOLOGY = re.compile(r"\b(?:sorry|apologi[sz]e|apology|apologies)\b", re.IGNORECASE)


def is_one_line(_text: str, answer: str) -> bool:
    return "\n" not in answer and len(answer.split()) <= MAX_WORDS


def says_nothing_of_money(_text: str, answer: str) -> bool:
    """No number and no word of banking: a promise made in passing is a promise too."""
    return BUSINESS.search(answer) is None


def apologises_for_nothing(_text: str, answer: str) -> bool:
    """Small models say sorry where nothing happened."""
    return APOLOGY.search(answer) is None
