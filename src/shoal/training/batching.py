"""Which rows a step computes together, and how they lie in memory. Pure.

Rows of a step have about the same length, and their common beginning (the system turn) stands there once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["EncodedRow", "Stream", "build_stream", "plan_batches", "split_batch"]

POOL = 50
"""Batches drawn together and then sorted by length: enough for little padding, few enough to stay mixed."""
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedRow:
    prompt: tuple[int, ...]
    """Tokens, up to where the answer begins."""
    answer: tuple[int, ...]
    """Tokens, the end of the turn among them."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows one after another behind what they share, each padded at its end to the `longest`."""

    tokens: Ids
    """(shared + rows * longest,)"""
    positions: Ids
    """The same shape: where a token would stand if its row were alone."""
    shared: int
    rows: int
    longest: int
    scored: Ids
    """(answer tokens,): places whose next token is an answer's."""
    targets: Ids
    """(answer tokens,): those next tokens."""


def plan_batches(lengths: Sequence[int], batch: int, seed: Sequence[int]) -> list[list[int]]:
    """Every row once, in batches of similar length, in an order that depends on the seed alone."""
    random = np.random.default_rng(seed)
    drawn: list[int] = random.permutation(len(lengths)).tolist()
    batches: list[list[int]] = []
    for at in range(0, len(drawn), batch * POOL):
        pool = sorted(drawn[at : at + batch * POOL], key=lambda row: lengths[row])
        batches += [pool[first : first + batch] for first in range(0, len(pool), batch)]
    return [batches[which] for which in random.permutation(len(batches)).tolist()]


def split_batch(rows: Sequence[EncodedRow], tokens: int, parts: int) -> list[list[EncodedRow]]:
    """The rows in pieces of about equal work and at most about `tokens`, as many as `parts` or a multiple.

    Each piece holds rows of similar length; a piece of one row may be longer than `tokens`.
    """
    rows = sorted(rows, key=len)
    ends = np.cumsum([len(row) for row in rows])
    rounds = -(-int(ends[-1]) // (tokens * parts))
    pieces = min(len(rows), rounds * parts)
    which: list[int] = np.minimum((ends - 1) * pieces // ends[-1], pieces - 1).tolist()
    found = [list[EncodedRow]() for _ in range(pieces)]
    for row, piece in zip(rows, which, strict=True):
        found[piece].append(row)
    return [piece for piece in found if piece]


def build_stream(rows: Sequence[EncodedRow]) -> Stream:
    """The last token of each answer is only ever predicted, never read.

    The last prompt token is never shared: it is where the answer's first token is predicted.
    """
    shared = _shared([row.prompt[:-1] for row in rows])
    own = [(row.prompt + row.answer)[shared:-1] for row in rows]
    longest = max(map(len, own))
    tokens = np.zeros((len(rows), longest), np.int64)
    for at, row in enumerate(own):
        tokens[at, : len(row)] = row
    scored = [
        np.arange(len(row.answer)) + (shared + at * longest + len(row.prompt) - 1 - shared)
        for at, row in enumerate(rows)
    ]
    start = np.array(rows[0].prompt[:shared], np.int64)
    return Stream(
        tokens=np.concatenate([start, tokens.ravel()]),
        positions=np.concatenate([np.arange(shared), np.tile(np.arange(longest) + shared, len(rows))]),
        shared=shared,
        rows=len(rows),
        longest=longest,
        scored=np.concatenate(scored),
        targets=np.array([token for row in rows for token in row.answer], np.int64),
    )


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all begin with: as many as the first and the last of them, in order, have in common."""
    first, last = min(prompts), max(prompts)
    same = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return next(same, min(len(first), len(last)))
