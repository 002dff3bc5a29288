"""Rows to learn from, and rows held out for the gate: those of one template stay together."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shoal.agents.row import Row
from shoal.curation.duplicates import Groups, near_pairs, normalise
from shoal.curation.template import template_of

__all__ = ["Split", "split"]

SHARE, FEWEST, MOST = 0.1, 100, 500
"""Of all rows, this part is held out; if they allow it at least, and at most, so many rows."""
ALIKE = 0.8
"""Share of the shingles from which on two texts are of one kind, whatever their answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    train: tuple[Row, ...]
    gate: tuple[Row, ...]
    """Held out: neither learnt from nor chosen by. Both in the order given."""
    groups: int
    """Kinds of rows that were found."""
    note: str | None = None
    """What the held-out rows cannot show."""


def split(rows: Sequence[Row], *, seed: int = 0) -> Split:
    """Hold out whole groups of rows, picked by a hash of their texts.

    Which they are depends on neither the order nor the number of the rows: what is held out stays held out
    when there are more, so that the live version has not learnt what its successor is gated on either.
    Rows are of one group when they share a template, or most of their text. Where that leaves too few groups
    to hold any out (all rows from one template, say), single rows are held out and the note says so.
    """
    wanted = min(MOST, max(round(SHARE * len(rows)), min(FEWEST, len(rows) // 4)))
    groups = _groups(rows)
    ranks = [_rank(row, seed) for row in rows]
    held, note = _pick(groups, ranks, wanted), None
    if len(held) * 2 < wanted:
        held = _pick([[place] for place in range(len(rows))], ranks, wanted)
        note = (
            f"the rows are of {len(groups)} kinds only: those held out are of the kinds that were learnt,"
            " and say nothing about others"
        )
    return Split(
        train=tuple(row for place, row in enumerate(rows) if place not in held),
        gate=tuple(row for place, row in enumerate(rows) if place in held),
        groups=len(groups),
        note=note,
    )


def _groups(rows: Sequence[Row]) -> list[list[int]]:
    by_template: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        by_template[template_of(row.input, row.expected)].append(place)
    groups = Groups(len(rows))
    groups.join((same[0], other) for same in by_template.values() for other in same[1:])
    groups.join(near_pairs([row.input for row in rows], at_least=ALIKE))
    return groups.all()


def _rank(row: Row, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {normalise(row.input)}".encode("utf-8", "backslashreplace")).digest()


def _pick(groups: Sequence[Sequence[int]], ranks: Sequence[bytes], wanted: int) -> set[int]:
    """Groups in the order of their lowest ranks, as long as they fit."""
    held: set[int] = set()
    for group in sorted(groups, key=lambda places: min(ranks[place] for place in places)):
        if len(held) + len(group) <= wanted:
            held.update(group)
    return held
