"""A request into its units of work: cut where the parts are surer of their agents than the whole is.

Pure: it knows text and a score, not the router. Every segmentation at the joints of the text (sentence ends,
commas, "and") is weighed, and the one with the highest summed confidence wins (dynamic programming over
segment boundaries, as in Viterbi segmentation). A cut has to pay for itself, the more the less its joint says
that something new begins.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shoal.core.decision import Subtask

__all__ = ["Scorer", "split_request"]

MAX_CHARACTERS = 400
"""Longer texts are letters, with one concern told at length; they stay whole."""
MAX_PIECES = 8
"""With more joints than this only sentence ends count, and with more of those the text stays whole."""
MIN_WORDS = 3
"""A part of fewer words ("also", "best wishes") is no request of its own."""
AFTER_ALSO, WITHIN, AFTER_SENTENCE = 0.5, 0.8, 0.9
"""Confidence that a cut has to add: after "and then" or "also" or before "please", at a comma or an "and", at
a sentence end. Many say in two sentences, and few in one, what is one concern."""
SURE = 0.4
"""Least confidence of a part that stands on its own."""
STRONG = r"[.;?!\n]+\s+(?:and\s+)?(?:then\s+|also\s+)*"
WEAK = r",\s+(?:and\s+)?(?:then\s+|also\s+)*|\s+and\s+(?:then\s+|also\s+)*"
JOINTS = re.compile(rf"\s*(?:{STRONG}|{WEAK})", re.IGNORECASE)
STRONG_JOINTS = re.compile(rf"\s*(?:{STRONG})", re.IGNORECASE)
ALSO = re.compile(r"\b(?:then|also)\b", re.IGNORECASE)
PLEASE = re.compile(r"please\b", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.;?!\n]")

Scorer = Callable[[Sequence[str]], Sequence[tuple[str | None, float]]]
"""Each text's best agent (None = there is none) and the confidence in it, in [0, 1]."""


class Span(NamedTuple):
    start: int
    end: int


class Path(NamedTuple):
    """The best segmentation up to some joint."""

    score: float
    last_agent: str
    spans: tuple[Span, ...]


def split_request(text: str, score: Scorer) -> tuple[Subtask, ...]:
    """The parts of a request, in order; the request itself where no cut pays.

    Neighbouring parts go to different agents: two sentences for one agent are one unit of work. Scores all
    n * (n + 1) / 2 spans of n pieces in one call, and none at all where there is no joint.
    """
    pieces = _pieces(text)
    spans = (Span(0, len(text)),) if len(pieces) < 2 else _best_spans(text, pieces, score)
    return tuple(
        Subtask(id=str(number), text=text[start:end], start=start, end=end)
        for number, (start, end) in enumerate(spans, start=1)
    )


def _best_spans(text: str, pieces: Sequence[Span], score: Scorer) -> tuple[Span, ...]:
    scores = _score_spans(text, pieces, score)
    whole = Span(pieces[0].start, pieces[-1].end)
    # paths[n]: the best segmentations of the first n pieces, one for each agent of their last part.
    paths: list[dict[str, Path]] = [{} for _ in range(len(pieces) + 1)]
    for end in range(1, len(pieces) + 1):
        for start in range(end):
            span = Span(pieces[start].start, pieces[end - 1].end)
            agent, confidence = scores.get(span, (None, 0.0))
            if agent is None or confidence < SURE or span == whole:
                continue
            added, spans = confidence, (span,)
            if start:
                before = [path for path in paths[start].values() if path.last_agent != agent]
                if not before:
                    continue
                earlier = max(before)
                added += earlier.score - _cost(text, pieces[start - 1].end, span.start)
                spans = (*earlier.spans, span)
            path = Path(added, agent, spans)
            paths[end][agent] = max(path, paths[end].get(agent, path))
    best = max(paths[-1].values(), default=None)
    return best.spans if best and best.score > scores[whole][1] else (whole,)


def _score_spans(text: str, pieces: Sequence[Span], score: Scorer) -> Mapping[Span, tuple[str | None, float]]:
    """Of every run of pieces that is long enough to be a request, and of the whole."""
    whole = Span(pieces[0].start, pieces[-1].end)
    runs = [Span(first.start, last.end) for i, first in enumerate(pieces) for last in pieces[i:]]
    spans = [span for span in runs if span == whole or len(text[span.start : span.end].split()) >= MIN_WORDS]
    return dict(zip(spans, score([text[span.start : span.end] for span in spans]), strict=True))


def _cost(text: str, before: int, after: int) -> float:
    """Of a cut whose joint is text[before:after]."""
    if ALSO.search(text, before, after) or PLEASE.match(text, after):
        return AFTER_ALSO
    return AFTER_SENTENCE if SENTENCE_END.search(text, before, after) else WITHIN


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
