"""What is stored of a chunk, and how it is written into the metadata that Chroma keeps beside its text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.core.passage import Passage

__all__ = ["Contents", "StoredChunk", "parse_chunk", "write_metadata"]

Metadata = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    id: str
    passage: Passage
    document: str
    """sha256 of the file the chunk was cut from."""
    number: int
    """Place among the chunks of its document, from 0."""
    count: int
    """Chunks of its document."""
    checksum: str
    """Of the vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All of an index."""

    chunks: tuple[StoredChunk, ...]
    vectors: NDArray[np.float32]
    """(len(chunks), dimension), L2-normalised, in the order of `chunks`."""
    revision: str


def write_metadata(chunk: StoredChunk) -> Metadata:
    return {
        "source": chunk.passage.source,
        "start": chunk.passage.start,
        "end": chunk.passage.end,
        "heading": chunk.passage.heading,
        "document": chunk.document,
        "number": chunk.number,
        "count": chunk.count,
        "checksum": chunk.checksum,
    }


def parse_chunk(id_: str, text: str | None, metadata: Mapping[str, object] | None) -> StoredChunk:
    """The inverse of `write_metadata`.

    Raises:
        KeyError, ValueError: it was not written by it.
    """
    fields = metadata or {}
    passage = Passage(
        text=text or "",
        source=str(fields["source"]),
        start=int(str(fields["start"])),
        end=int(str(fields["end"])),
        heading=str(fields["heading"]),
    )
    return StoredChunk(
        id=id_,
        passage=passage,
        document=str(fields["document"]),
        number=int(str(fields["number"])),
        count=int(str(fields["count"])),
        checksum=str(fields["checksum"]),
    )
