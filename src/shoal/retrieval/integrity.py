"""Is what the index holds what was written? Pure checks over its contents, no model, no files.

Each chunk carries enough to be checked alone: its id is a hash of its text and place, `checksum` one of
its vector, and (`document`, `number`, `count`) say which chunks its document must have.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.core.passage import Passage
from shoal.retrieval.record import Contents, StoredChunk

__all__ = ["Damage", "DamageKind", "checksum", "chunk_id", "find_damage"]

DamageKind = Literal["missing", "duplicate", "text", "vector", "leftover", "stale", "unindexed", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    source: str
    kind: DamageKind
    """`missing`: chunks are not there. `duplicate`: two chunks claim one place. `text`, `vector`: not as
    written. `leftover`: chunks of an older version of the file. `stale`, `unindexed`, `removed`: the file
    was changed, added or removed after the last `shoal index add`."""
    detail: str


def chunk_id(passage: Passage) -> str:
    """Hash of a chunk's text and place: the same chunk always has the same id."""
    fields = [passage.source, passage.start, passage.end, passage.heading, passage.text]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32]


def checksum(vector: NDArray[np.float32]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(vector, "<f4").tobytes(), digest_size=8).hexdigest()


def find_damage(contents: Contents) -> list[Damage]:
    """Everything in the index that contradicts itself, by source."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, chunk in enumerate(contents.chunks):
        rows[chunk.passage.source].append(row)
    damage: list[Damage] = []
    for source in sorted(rows):
        chunks = [contents.chunks[row] for row in rows[source]]
        damage += _of_document(source, chunks)
        for row, chunk in zip(rows[source], chunks, strict=True):
            place = f"chunk {chunk.number + 1} of {chunk.count}"
            if chunk_id(chunk.passage) != chunk.id:
                damage.append(
                    Damage(source=source, kind="text", detail=f"{place} is not the text that was written")
                )
            if checksum(contents.vectors[row]) != chunk.checksum:
                damage.append(
                    Damage(
                        source=source, kind="vector", detail=f"{place} has another vector than was written"
                    )
                )
    return damage


def _of_document(source: str, chunks: Sequence[StoredChunk]) -> list[Damage]:
    versions = Counter(chunk.document for chunk in chunks)
    if len(versions) > 1:
        detail = f"chunks of {len(versions)} versions of the file: writing it was interrupted"
        return [Damage(source=source, kind="leftover", detail=detail)]
    numbers = Counter(chunk.number for chunk in chunks)
    count = max(chunk.count for chunk in chunks)
    damage: list[Damage] = []
    missing = [number + 1 for number in range(count) if number not in numbers]
    if missing:
        detail = f"{len(missing)} of {count} chunks are missing, the first is {missing[0]}"
        damage.append(Damage(source=source, kind="missing", detail=detail))
    twice = [number + 1 for number, times in numbers.items() if times > 1]
    if twice:
        detail = f"{len(twice)} of {count} chunks are there twice, the first is {min(twice)}"
        damage.append(Damage(source=source, kind="duplicate", detail=detail))
    return damage
