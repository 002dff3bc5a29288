"""A request into its units of work: cut where the parts are surer of their agents than the whole is.

Pure: it knows text and a score, not the router. Every segmentation at the joints of the text (sentence ends,
commas, "and") is weighed, and the one with the highest summed confidence wins (dynamic programming over
segment boundaries, as in Viterbi segmentation); a cut has to pay for itself.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from shoal.core.decision import Subtask

__all__ = ["split_request"]

MAX_CHARACTERS = 400
"""Longer texts are letters, with one concern told at length; they stay whole."""
MAX_PIECES = 8
"""With more joints than this only sentence ends count, and with more of those the text stays whole."""
MIN_WORDS = 3
"""A part of fewer words ("also", "best wishes") is no request of its own."""
CUT_COST = 0.6
"""Confidence that a further part has to add."""
SURE = 0.6
"""Least confidence of a part that stands on its own."""
STRONG = r"[.;?!\n]+\s+(?:and\s+)?(?:then\s+|also\s+)*"
WEAK = r",\s+(?:and\s+)?(?:then\s+|also\s+)*|\s+and\s+(?:then\s+|also\s+)*"
JOINTS = re.compile(rf"\s*(?:{STRONG}|{WEAK})", re.IGNORECASE)
STRONG_JOINTS = re.compile(rf"\s*(?:{STRONG})", re.IGNORECASE)

Scorer = Callable[[str], tuple[str | None, float]]
"""A text's agent (None = nobody's) and the confidence in it, in [0, 1]."""


class Span(NamedTuple):
    start: int
    end: int


class Path(NamedTuple):
    """The best segmentation up to some joint."""

    score: float
    last_agent: str | None
    spans: tuple[Span, ...]


def split_request(text: str, score: Scorer) -> tuple[Subtask, ...]:
    """The parts of a request, in order; the request itself where no cut pays.

    Neighbouring parts go to different agents: two sentences for one agent are one unit of work. Scores some
    n * (n + 1) / 2 spans for n pieces, and none at all where there is no joint.
    """
    pieces = _pieces(text)
    spans = (Span(0, len(text)),) if len(pieces) < 2 else _best_spans(text, pieces, score)
    return tuple(
        Subtask(id=str(number), text=text[start:end], start=start, end=end)
        for number, (start, end) in enumerate(spans, start=1)
    )


def _best_spans(text: str, pieces: list[Span], score: Scorer) -> tuple[Span, ...]:
    whole = Span(pieces[0].start, pieces[-1].end)
    best = Path(score(text[whole.start : whole.end])[1], None, (whole,))
    # paths[n]: the best segmentations of the first n pieces, one for each agent of their last part.
    paths: list[dict[str, Path]] = [{} for _ in range(len(pieces) + 1)]
    for end in range(1, len(pieces) + 1):
        for start in range(end):
            span = Span(pieces[start].start, pieces[end - 1].end)
            part = text[span.start : span.end]
            if span == whole or len(part.split()) < MIN_WORDS or (start and not paths[start]):
                continue
            agent, confidence = score(part)
            if agent is None or confidence < SURE:
                continue
            before = [path for path in paths[start].values() if path.last_agent != agent]
            if start and not before:
                continue
            earlier = max(before, default=Path(CUT_COST, None, ()))
            path = Path(earlier.score + confidence - CUT_COST, agent, (*earlier.spans, span))
            paths[end][agent] = max(path, paths[end].get(agent, path))
    return max([best, *paths[-1].values()]).spans


def _pieces(text: str) -> list[Span]:
    if len(text) > MAX_CHARACTERS:
        return []
    pieces = _between(JOINTS, text)
    if len(pieces) > MAX_PIECES:
        pieces = _between(STRONG_JOINTS, text)
    return pieces if len(pieces) <= MAX_PIECES else []


def _between(joints: re.Pattern[str], text: str) -> list[Span]:
    cuts = [0, *(edge for joint in joints.finditer(text) for edge in joint.span()), len(text)]
    spans = zip(cuts[::2], cuts[1::2], strict=True)
    return [Span(start, end) for start, end in spans if text[start:end].strip()]
