"""A request into its units of work. Pure: it knows text and a score, not the router."""

import re
from collections.abc import Callable

from shoal.core.decision import Subtask

__all__ = ["split_request"]

MAX_CHARACTERS = 2_000
"""Longer texts are documents with one question, not lists of requests: they stay whole."""
JOINTS = re.compile(
    r"\s*(?:[.;?!,\n]+\s+(?:and\s+)?(?:then\s+|also\s+)*|\s+and\s+(?:then\s+|also\s+)*)", re.IGNORECASE
)


def split_request(text: str, best: Callable[[str], tuple[str | None, float]]) -> tuple[Subtask, ...]:
    """Cut where that raises the summed confidence of the parts.

    Args:
        text: The whole request.
        best: Agent (None = abstained) and confidence for a piece of it.
    """
    pieces = _pieces(text) if len(text) <= MAX_CHARACTERS else []
    joined: list[tuple[int, int, str | None]] = []
    for start, end in pieces:
        agent, _ = best(text[start:end])
        if joined and (agent is None or agent == joined[-1][2]):
            joined[-1] = (joined[-1][0], end, joined[-1][2])
        else:
            joined.append((start, end, agent))
    spans = [(start, end) for start, end, _ in joined] or [(0, len(text))]
    return tuple(
        Subtask(id=str(number), text=text[start:end], start=start, end=end)
        for number, (start, end) in enumerate(spans, start=1)
    )


def _pieces(text: str) -> list[tuple[int, int]]:
    cuts = [0, *(edge for joint in JOINTS.finditer(text) for edge in joint.span()), len(text)]
    spans = zip(cuts[::2], cuts[1::2], strict=True)
    return [(start, end) for start, end in spans if text[start:end].strip()]
