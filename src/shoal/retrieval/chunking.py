"""Documents to chunks: pieces of text small enough to embed, each with its exact place in the source.

Not a parser: Markdown is read only for its headings, everything else is paragraphs and sentences. A
chunk is always a slice of the source (`source[start:end] == text`), so that an answer can quote it.
Sizes are counted in the embedder's tokens, because a longer text than it was trained for embeds badly.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Chunk", "ChunkSize", "TokenSpans", "chunk_document", "chunking_id"]

CHUNKING_VERSION = 1
"""Raised when the same text and size would give other chunks: indexes made before must be rebuilt."""

TokenSpans = Callable[[str], Sequence[tuple[int, int]]]
"""A text to the (start, end) of its tokens, in characters, in order."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkSize:
    max_tokens: int = 250
    overlap_tokens: int = 50
    """The most tokens that a chunk repeats from the one before; whole sentences only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    text: str
    start: int
    """Offset in the source, in characters (code points)."""
    end: int
    heading: str
    """Headings above, outermost first, joined by " > "; empty in plain text."""


def chunking_id(size: ChunkSize) -> str:
    """Recorded with an index: chunks of two different ids do not mix."""
    return f"{CHUNKING_VERSION}/{size.max_tokens}/{size.overlap_tokens}"


def chunk_document(
    text: str, token_spans: TokenSpans, *, markdown: bool, size: ChunkSize
) -> tuple[Chunk, ...]:
    """Cut a document into chunks, in order. Every character but white space is in at least one.

    Chunks do not cross Markdown headings, end where a sentence or line ends, and cut a sentence only when
    it alone is longer than `size.max_tokens`. A blank text has no chunks.
    """
    ruler = _Ruler(token_spans(text))
    sections = _sections(text) if markdown else [_Section(0, len(text), "")]
    return tuple(
        Chunk(text=text[start:end], start=start, end=end, heading=section.heading)
        for section in sections
        for start, end in _windows(_pieces(text, section, ruler, size.max_tokens), ruler, size)
        for start, end in [_strip(text, start, end)]
        if start < end
    )


class _Ruler:
    """Counts the tokens that start within a stretch of text."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.starts = [start for start, _ in spans]

    def __call__(self, start: int, end: int) -> int:
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)


def _windows(pieces: Sequence[Span], ruler: _Ruler, size: ChunkSize) -> Iterator[Span]:
    """Pack pieces into windows of at most `max_tokens`; each repeats the end of the one before."""
    first = 0
    while first < len(pieces):
        start, last = pieces[first][0], first
        while last + 1 < len(pieces) and ruler(start, pieces[last + 1][1]) <= size.max_tokens:
            last += 1
        end = pieces[last][1]
        yield start, end
        if last + 1 == len(pieces):
            return
        first += 1
        while first <= last and (
            ruler(pieces[first][0], end) > size.overlap_tokens
            or ruler(pieces[first][0], pieces[last + 1][1]) > size.max_tokens
        ):
            first += 1


SENTENCE_END = re.compile(
    # Code points, because many of these marks look like others: \u201d\u2019\xbb close quotations,
    # \u3002\uff01\uff1f\uff61 end Chinese and Japanese sentences, \u061f\u06d4\u0964 Arabic, Urdu and Hindi.
    r"""
      (?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bvs)(?<!\bMrs)(?<!\be\.g)(?<!\bi\.e)(?<!\b[A-Z])
      [.!?\u2026]+ ["'\u201d\u2019\xbb)\]]* \s+
    | [\u3002\uff01\uff1f\uff61]+ [\u300d\u300f\u201d\u2019\uff09]* \s*
    | [\u061f\u06d4\u0964]+ \s*
    | [ \t]* (?:\r\n|\n|\r) \s*        # a line or paragraph ends
    """,
    re.VERBOSE,
)


def _pieces(text: str, section: "_Section", ruler: _Ruler, max_tokens: int) -> list[Span]:
    """Sentences and lines that together are the section, none longer than `max_tokens`."""
    pieces: list[Span] = []
    start = section.start
    ends = [match.end() for match in SENTENCE_END.finditer(text, section.start, section.end)]
    for end in [*ends, section.end]:
        if end > start:
            pieces += _cut(text, start, end, ruler, max_tokens)
            start = end
    return pieces


def _cut(text: str, start: int, end: int, ruler: _Ruler, max_tokens: int) -> Iterator[Span]:
    """Cut an overlong sentence between words, or between tokens where words do not end."""
    first, stop = bisect_left(ruler.starts, start), bisect_left(ruler.starts, end)
    while stop - first > max_tokens:
        half = first + max_tokens // 2
        cut = first + max_tokens
        while cut > half and not text[ruler.starts[cut] - 1].isspace():
            cut -= 1
        if cut == half:
            cut = first + max_tokens
        yield start, ruler.starts[cut]
        start, first = ruler.starts[cut], cut
    yield start, end


def _strip(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    heading: str


HEADING_OR_FENCE = re.compile(
    r"""
    ^[ ]{0,3} (?:
        (?P<marks>\#{1,6}) [ \t]+ (?P<title>[^\r\n]*?) (?:[ \t]+\#+)? [ \t]*
      | (?P<fence>`{3,}|~{3,}) [^\r\n]*
    ) \r?$
    """,
    re.MULTILINE | re.VERBOSE,
)


def _sections(text: str) -> list[_Section]:
    """The stretches between Markdown headings (`# ...`, not inside code fences), headings included.

    A heading with nothing below it but the next heading belongs to that next section.
    """
    sections: list[_Section] = []
    path: list[tuple[int, str]] = []
    start, body, fence = 0, 0, ""
    for match in HEADING_OR_FENCE.finditer(text):
        mark = match["fence"]
        if mark:
            # A fence closes with at least as many of the marks that opened it.
            fence = "" if fence and mark.startswith(fence) else fence or mark
            continue
        if fence:
            continue
        if text[body : match.start()].strip():
            sections.append(_Section(start, match.start(), _join(path)))
            start = match.start()
        level = len(match["marks"])
        path = [(depth, title) for depth, title in path if depth < level] + [(level, match["title"])]
        body = match.end()
    sections.append(_Section(start, len(text), _join(path)))
    return sections


def _join(path: Sequence[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path if title)
