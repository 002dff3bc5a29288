"""Checks that an answer keeps to its text: for whatever writes it, a function or a language model.

They catch what small models do when they summarise: other amounts, other names, more words than the mail had.
That every number and name is right does not make a sentence right; it makes the worst wrong ones impossible.
"""

import re

__all__ = ["is_shorter", "keeps_the_names", "keeps_the_numbers"]

NUMBER = re.compile(r"\d+(?:[.,:/'-]\d+)*")
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def is_shorter(text: str, answer: str) -> bool:
    """At most three quarters of the text."""
    return len(answer) <= 0.75 * len(text)


def keeps_the_numbers(text: str, answer: str) -> bool:
    """Every number of the answer stands in the text, digit for digit."""
    return set(NUMBER.findall(answer)) <= set(NUMBER.findall(text))


def keeps_the_names(text: str, answer: str) -> bool:
    """Every word that the answer writes large, but for the first of a sentence, stands in the text."""
    known = {word.casefold() for word in WORD.findall(text)}
    sentences = (WORD.findall(sentence) for sentence in re.split(r"(?<=[.!?])\s+", answer))
    names = {word.casefold() for words in sentences for word in words[1:] if word[0].isupper()}
    return names <= known
