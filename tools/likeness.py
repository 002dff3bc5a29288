"""How alike two short texts are by their letters: robust to typos and word endings, no model, no word list.

Not meaning: "card swallowed" and "machine kept it" share nothing here. Embeddings see that; this sees names,
numbers and the exact words, which embeddings blur.
"""

import re
from functools import lru_cache

__all__ = ["likeness", "trigrams"]

WORD = re.compile(r"[^\W_]+|[£€$]")


def likeness(first: str, second: str) -> float:
    """Sørensen-Dice coefficient of the texts' letter trigrams, in [0, 1]; case and punctuation aside."""
    left, right = trigrams(first), trigrams(second)
    if not left or not right:
        return 0.0
    return 2 * len(left & right) / (len(left) + len(right))


@lru_cache(maxsize=4096)
def trigrams(text: str) -> frozenset[str]:
    """Every three letters in a row, word ends included."""
    words = f" {' '.join(WORD.findall(text.casefold()))} "
    return frozenset(words[at : at + 3] for at in range(len(words) - 2))
