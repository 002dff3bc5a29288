"""A mail in two of its own sentences: what happened, and what the writer asks for.

Extractive: it picks sentences and changes none, so it cannot invent. It does not understand them either; what
happened is the sentence that shares most with all the others, raised where it names sums or numbers.
"""

import re

from tools.likeness import likeness
from tools.money import find_money

__all__ = ["summarise"]

INSTRUCTION = re.compile(r"\A[^\n:]{0,120}(?::\s+|[.?!]?\s*\n\s*\n)")
"""What the clerk wrote above the mail: "Summarise this for the file:"."""
GREETING = re.compile(
    r"^(?:dear\b[^,\n]{0,40}|hello|hi|hey|good\ (?:morning|afternoon|evening)|hi\ \w+|hello\ \w+)[,.!]\s*",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
CLOSING = re.compile(
    r"^\s*(?:kind |best |warm )?(?:regards|wishes|yours|thanks|thank you|sincerely)\b", re.IGNORECASE
)
REQUEST = re.compile(
    r"""
      \b(?:please|(?:can|could|would|will)\ you)\b
    | \bi\ (?:would|'d|should)\ like\b
    | \bi\ (?:want|need|ask|expect|request|demand)\b
    | \?$
    """,
    re.IGNORECASE | re.VERBOSE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
MIN_WORDS = 4
"""A shorter sentence says nothing on its own."""
AMOUNT, NUMBER = 1.0, 0.3
"""What naming a sum of money, or any number, adds to a sentence's weight of 1."""


def summarise(text: str) -> str | None:
    """The weightiest sentence and the last request, in their order; None where no mail is in the text."""
    sentences = _sentences(INSTRUCTION.sub("", text, count=1))
    if len(sentences) < 2:
        return None
    weights = {at: _weight(sentences, at) for at in range(len(sentences))}
    requests = [at for at, sentence in enumerate(sentences) if REQUEST.search(sentence)]
    asked = requests[-1] if requests else max(weights, key=weights.__getitem__)
    del weights[asked]
    happened = max(weights, key=weights.__getitem__)
    return " ".join(sentences[at] for at in sorted((asked, happened)))


def _sentences(mail: str) -> list[str]:
    pieces = (piece.strip() for piece in SENTENCE_END.split(GREETING.sub("", mail)))
    return [piece for piece in pieces if len(piece.split()) >= MIN_WORDS and not CLOSING.match(piece)]


def _weight(sentences: list[str], at: int) -> float:
    """Likeness to the average other sentence, times what facts add."""
    sentence = sentences[at]
    shared = sum(likeness(sentence, other) for other in sentences if other is not sentence)
    return shared * (1 + AMOUNT * bool(find_money(sentence)) + NUMBER * bool(re.search(r"\d", sentence)))
