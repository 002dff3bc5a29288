"""A mail in two of its own sentences: what happened, and what the writer asks for.

Extractive: it picks sentences and changes none, so it cannot invent. It does not understand them either; what
happened is the sentence that shares most with all the others, raised where it names sums or numbers.
"""

import re
from collections import Counter
from collections.abc import Iterator

from tools.likeness import trigrams
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
    weights = dict(enumerate(_weights(sentences)))
    requests = [at for at, sentence in enumerate(sentences) if REQUEST.search(sentence)]
    asked = requests[-1] if requests else max(weights, key=weights.__getitem__)
    del weights[asked]
    happened = max(weights, key=weights.__getitem__)
    return " ".join(sentences[at] for at in sorted((asked, happened)))


def _sentences(mail: str) -> list[str]:
    pieces = (piece.strip() for piece in SENTENCE_END.split(GREETING.sub("", mail)))
    return [piece for piece in pieces if len(piece.split()) >= MIN_WORDS and not CLOSING.match(piece)]


def _weights(sentences: list[str]) -> Iterator[float]:
    """How many sentences have what a sentence has, on average over its trigrams, times what facts add."""
    shared = Counter(part for sentence in sentences for part in trigrams(sentence))
    for sentence in sentences:
        parts = trigrams(sentence)
        facts = AMOUNT * bool(find_money(sentence)) + NUMBER * bool(re.search(r"\d", sentence))
        yield sum(shared[part] for part in parts) / max(1, len(parts)) * (1 + facts)
