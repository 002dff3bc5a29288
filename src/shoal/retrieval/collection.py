"""Chunks and their vectors in a Chroma collection: read all, write, delete.

Chroma is the durable part; the search itself is `ranking.py`, over what `read` returns. Chroma's own
approximate index is not asked, for measured reasons (docs/retrieval.md): it loses half of its recall
after deletions, and its files, unlike its SQLite database, are torn by a kill or a second process. So
they are never written here (`SYNC_NEVER`): everything lasting is in SQLite, vectors included.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import StorageDamaged
from shoal.core.passage import Passage
from shoal.retrieval.connection import (
    DATABASE,
    IndexPlace,
    close_client,
    mapped_errors,
    open_client,
    remove_files,
)

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api.client import Client

__all__ = ["ChunkCollection", "Contents", "StoredChunk"]

FORMAT = 1
"""Of the metadata written here."""
SYNC_NEVER = 1_000_000_000
"""Chroma writes its approximate index to files after this many changes."""
READ_ATTEMPTS = 3
PAGE = 1000
"""Chunks per request to Chroma."""


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
    chunks: tuple[StoredChunk, ...]
    vectors: NDArray[np.float32]
    """(len(chunks), dimension), L2-normalised, in the order of `chunks`."""
    revision: str


class ChunkCollection:
    """One collection. Its methods block; call them in a worker thread. Safe to use from several."""

    def __init__(self, place: IndexPlace, *, embedder: str, dimension: int, chunking: str) -> None:
        self.place = place
        self._made_by = {
            "format": FORMAT,
            "embedder": embedder,
            "dimension": dimension,
            "chunking": chunking,
        }
        self._client: Client | None = None

    def revision(self) -> str | None:
        """Changes with every finished `shoal index add`; None = there is no index yet.

        Raises:
            StorageDamaged: Chroma cannot read it, or it was made with another embedder or chunking.
            StorageError: the server does not answer; disk full or read-only.
        """
        collection = self._find()
        return None if collection is None else str((collection.metadata or {}).get("revision", ""))

    def read(self) -> Contents | None:
        """Everything in the collection; None = there is no index yet.

        A reader may run into a writer's change half done (Chroma keeps texts and vectors apart): it tries
        again with a fresh connection before it calls that damage.

        Raises:
            StorageDamaged, StorageError: see `revision`.
        """
        for _ in range(READ_ATTEMPTS - 1):
            with suppress(StorageDamaged):
                return self._read()
        return self._read()

    def _read(self) -> Contents | None:
        if self.place.url is None:
            # An open engine does not learn of vectors that another process wrote.
            self.close()
        collection = self._find()
        if collection is None:
            return None
        chunks: list[StoredChunk] = []
        vectors = [np.empty((0, int(self._made_by["dimension"])), np.float32)]
        with mapped_errors(self.place):
            for offset in range(0, collection.count(), PAGE):
                page = collection.get(
                    limit=PAGE, offset=offset, include=["documents", "metadatas", "embeddings"]
                )
                rows = zip(page["ids"], page["documents"] or (), page["metadatas"] or (), strict=True)
                chunks += [self._parse(id_, text, metadata) for id_, text, metadata in rows]
                if page["ids"]:
                    vectors.append(np.asarray(page["embeddings"], np.float32))
            whole = len({chunk.id for chunk in chunks}) == len(chunks) == collection.count()
        if self.place.url is None:
            # It would keep what it read in memory.
            self.close()
        if not whole:
            raise StorageDamaged(
                f"the index {self.place.name} changes while it is read", mend=self.place.rebuild
            )
        revision = str((collection.metadata or {}).get("revision", ""))
        return Contents(chunks=tuple(chunks), vectors=np.concatenate(vectors), revision=revision)

    def create(self) -> None:
        """Make the collection where there is none.

        Raises:
            StorageDamaged, StorageError: see `revision`.
        """
        if self._find() is not None:
            return
        with mapped_errors(self.place, writing=True):
            _ = self._connect().create_collection(
                self.place.name,
                embedding_function=None,
                metadata={**self._made_by, "revision": uuid.uuid4().hex},
                # Inner product keeps vectors as given; "cosine" would store them normalised once more,
                # which changes their last bits and with them their checksums.
                configuration={"hnsw": {"space": "ip", "sync_threshold": SYNC_NEVER, "max_neighbors": 8}},
            )

    def write(self, chunks: Sequence[StoredChunk], vectors: NDArray[np.float32]) -> None:
        """Add chunks, or replace those with the same id. One transaction per 1,000.

        Raises:
            StorageDamaged, StorageError: see `revision`.
        """
        with mapped_errors(self.place, writing=True):
            collection = self._existing()
            for page in _pages(len(chunks)):
                collection.upsert(
                    ids=[chunk.id for chunk in chunks[page]],
                    embeddings=vectors[page],
                    documents=[chunk.passage.text for chunk in chunks[page]],
                    metadatas=[_metadata(chunk) for chunk in chunks[page]],
                )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove chunks; ids that are not there are ignored.

        Raises:
            StorageDamaged, StorageError: see `revision`.
        """
        with mapped_errors(self.place, writing=True):
            collection = self._existing()
            for page in _pages(len(ids)):
                _ = collection.delete(ids=list(ids[page]))

    def commit(self) -> None:
        """Tell readers that there is something new.

        Raises:
            StorageDamaged, StorageError: see `revision`.
        """
        with mapped_errors(self.place, writing=True):
            self._existing().modify(metadata={**self._made_by, "revision": uuid.uuid4().hex})

    def drop(self) -> None:
        """Remove the collection, or its files where Chroma can no longer read them.

        Raises:
            StorageError: the server does not answer; files cannot be removed.
        """
        from chromadb.errors import NotFoundError

        try:
            with mapped_errors(self.place), suppress(NotFoundError):
                self._connect().delete_collection(self.place.name)
        except StorageDamaged:
            if self.place.url is not None:
                raise
            self.close()
            remove_files(self.place)

    def close(self) -> None:
        """Give back Chroma's files and connections. The next call opens them again."""
        if self._client is not None:
            close_client(self._client)
            self._client = None

    def _find(self) -> "Collection | None":
        from chromadb.errors import NotFoundError

        if self.place.url is None and not (self.place.folder / DATABASE).exists():
            return None
        with mapped_errors(self.place):
            try:
                collection = self._existing()
            except NotFoundError:
                return None
        self._check(collection.metadata or {})
        return collection

    def _existing(self) -> "Collection":
        return self._connect().get_collection(self.place.name, embedding_function=None)

    def _connect(self) -> "Client":
        if self._client is None:
            self._client = open_client(self.place)
        return self._client

    def _check(self, metadata: Mapping[str, object]) -> None:
        for key, expected in self._made_by.items():
            found = metadata.get(key)
            if found != expected:
                raise StorageDamaged(
                    f"the index {self.place.name} does not fit this version",
                    why=f"it was made with {key} {found}, here it is {expected}",
                    mend=self.place.rebuild,
                )

    def _parse(self, id_: str, text: str | None, metadata: Mapping[str, object] | None) -> StoredChunk:
        fields = metadata or {}
        try:
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
        except (KeyError, ValueError) as error:
            raise StorageDamaged(
                f"chunk {id_} of the index {self.place.name} has no readable metadata",
                why=f"{type(error).__name__}: {error}",
                mend=self.place.rebuild,
            ) from error


def _metadata(chunk: StoredChunk) -> dict[str, str | int | float | bool | None]:
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


def _pages(count: int) -> Iterator[slice]:
    return (slice(start, start + PAGE) for start in range(0, count, PAGE))
