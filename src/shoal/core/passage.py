"""A piece of a source text, with the place it was taken from."""

from dataclasses import dataclass

__all__ = ["Passage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    text: str
    source: str
    """Path or address of the document, as it was indexed."""
    start: int
    """Offset of the first character in the source."""
    end: int
    """Offset after the last character: `source_text[start:end] == text`."""
    heading: str = ""
    """Nearest headings above the passage, outermost first, joined by " > "."""
    score: float | None = None
    """Cosine similarity to the query, in [-1, 1]; None when it was not searched for."""
