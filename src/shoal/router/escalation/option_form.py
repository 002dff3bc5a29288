"""What the options of a multiple-choice question look like, and which of them was chosen.

Small models have favourite letters, take long options for true ones and fail where options differ little.
"""

import re

__all__ = ["CHOICE_FEATURES", "OPTION_FEATURES", "choice_form", "option_form", "parse_options"]

OPTION = re.compile(r"^\s*\(?([A-H])[.:)]\s*(.*)$", re.MULTILINE)
LETTER = re.compile(r"^\W*([A-H])(?:\W|$)")
WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\d")
SWEEPING = re.compile(r"\b(?:all|none|both|neither|any)\b.*|\bno change\b", re.IGNORECASE)
STATEMENTS = re.compile(
    r"\b(?:true|false|correct|wrong|neither|both)\b,|\bI and II\b|\bI only\b", re.IGNORECASE
)
LETTERS = 4
"""Positions told apart; later ones count as none of these."""

OPTION_FEATURES = 7
CHOICE_FEATURES = LETTERS + 4


def parse_options(prompt: str) -> dict[str, str]:
    """Letter to option, in order; empty where the prompt has none."""
    options = {letter: text.strip() for letter, text in OPTION.findall(prompt)}
    letters = "".join(options)
    return options if len(options) >= 2 and "ABCDEFGH".startswith(letters) else {}


def option_form(prompt: str) -> list[float]:
    """`OPTION_FEATURES` numbers about the question's options; zeros where it has none."""
    options = list(parse_options(prompt).values())
    if not options:
        return [0.0] * OPTION_FEATURES
    words = [{word.lower() for word in WORD.findall(option)} for option in options]
    sizes = [len(option) for option in options]
    pairs = [_overlap(a, b) for i, a in enumerate(words) for b in words[:i]]
    return [
        1.0,
        (sum(sizes) / len(sizes)) ** 0.5,
        max(sizes) / (sum(sizes) + 1),
        sum(pairs) / len(pairs),
        sum(NUMBER.search(option) is not None for option in options) / len(options),
        float(any(SWEEPING.match(option) for option in options)),
        float(any(STATEMENTS.search(option) for option in options)),
    ]


def choice_form(prompt: str, answer: str) -> list[float]:
    """`CHOICE_FEATURES` numbers about the option that was chosen; zeros where none can be told."""
    options = parse_options(prompt)
    found = LETTER.match(answer.strip())
    if not options or found is None or found[1] not in options:
        return [0.0] * CHOICE_FEATURES
    chosen = options[found[1]]
    sizes = [len(option) for option in options.values()]
    place = "ABCDEFGH".index(found[1])
    return [
        *(float(place == letter) for letter in range(LETTERS)),
        len(chosen) / (sum(sizes) / len(sizes) + 1),
        float(len(chosen) == max(sizes)),
        float(len(chosen) == min(sizes)),
        float(SWEEPING.match(chosen) is not None),
    ]


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))
