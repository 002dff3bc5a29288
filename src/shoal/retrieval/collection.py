"""Chunks and their vectors in a Chroma collection: read all, write, delete.

Chroma is the durable part; the search itself is `ranking.py`, over what `read` returns: matching words needs
every chunk in memory anyway, and then exact cosines cost milliseconds. Chroma's own approximate index is
good (recall 0.995) but lives in files that a kill or a second process tears, unlike its SQLite database
(docs/retrieval.md). So nothing is kept there (`SYNC_NEVER`): all that lasts is in SQLite, vectors too.
"""

import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import StorageDamaged
from shoal.retrieval.connection import IndexPlace, mapped_errors
from shoal.retrieval.embedded import EmbeddedHome
from shoal.retrieval.home import Home
from shoal.retrieval.record import Contents, StoredChunk, parse_chunk, write_metadata
from shoal.retrieval.server import ServerHome

if TYPE_CHECKING:
    from chromadb import Collection

__all__ = ["ChunkCollection"]

FORMAT = 1
"""Of the metadata written here."""
SYNC_NEVER = 1_000_000_000
"""Chroma writes its approximate index to files after this many changes."""
READ_ATTEMPTS = 3
PAGE = 1000
"""Chunks per request to Chroma."""


class ChunkCollection:
    """One collection. Its methods block; use an object in one thread at a time.

    All raise `StorageDamaged` where Chroma cannot read what it holds, and `StorageError` where the server
    does not answer or the disk is full, read-only or failing.
    """

    def __init__(self, place: IndexPlace, *, embedder: str, dimension: int, chunking: str) -> None:
        self.place = place
        self._dimension = dimension
        self._made_by = {
            "format": FORMAT,
            "embedder": embedder,
            "dimension": dimension,
            "chunking": chunking,
        }
        self._home: Home = EmbeddedHome(place) if place.url is None else ServerHome(place, place.url)

    def revision(self) -> str | None:
        """Changes with every `commit`; None = there is no index yet."""
        return self._home.revision()

    def read(self) -> Contents | None:
        """Everything in the collection; None = there is no index yet.

        A reader may run into a writer's change half done (Chroma keeps texts and vectors apart): it tries
        again with a fresh client before it calls that damage.

        Raises:
            StorageDamaged: also when the index was made with another embedder or chunking.
            StorageError: see the class.
        """
        for _ in range(READ_ATTEMPTS - 1):
            with suppress(StorageDamaged):
                return self._read()
        return self._read()

    @contextmanager
    def renewed(self) -> Generator[None]:
        """Start anew: what the block writes takes the index's place when it ends without an error.

        Raises:
            StorageError: see the class.
        """
        with self._home.renewed():
            with mapped_errors(self.place, writing=True):
                _ = self._home.writing().create_collection(
                    self.place.name,
                    embedding_function=None,
                    metadata={**self._made_by, "revision": uuid.uuid4().hex},
                    # Inner product keeps vectors as given; "cosine" would store them normalised once more,
                    # which changes their last bits and with them their checksums.
                    configuration={"hnsw": {"space": "ip", "sync_threshold": SYNC_NEVER, "max_neighbors": 8}},
                )
            yield

    def write(self, chunks: Sequence[StoredChunk], vectors: NDArray[np.float32]) -> None:
        """Add chunks, or replace those with the same id. One transaction per 1,000.

        Raises:
            StorageError: see the class.
        """
        with mapped_errors(self.place, writing=True):
            collection = self._changing()
            for page in _pages(len(chunks)):
                collection.upsert(
                    ids=[chunk.id for chunk in chunks[page]],
                    embeddings=vectors[page],
                    documents=[chunk.passage.text for chunk in chunks[page]],
                    metadatas=[write_metadata(chunk) for chunk in chunks[page]],
                )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove chunks; ids that are not there are ignored. `purge` removes their text from the disk.

        Raises:
            StorageError: see the class.
        """
        if not ids:
            return
        self._home.deleting()
        with mapped_errors(self.place, writing=True):
            collection = self._changing()
            for page in _pages(len(ids)):
                _ = collection.delete(ids=list(ids[page]))

    def commit(self) -> None:
        """Tell readers that there is something new.

        Raises:
            StorageError: see the class.
        """
        self._home.commit()

    def purge(self) -> None:
        """Leave nothing of deleted chunks on the disk: Chroma keeps their text in its log.

        Writes everything else anew, about 2 ms a chunk. Does nothing when nothing was deleted since the last
        complete purge, and nothing on a server.

        Raises:
            StorageDamaged, StorageError: see the class.
        """
        if self._home.holds_deleted() and (contents := self.read()) is not None:
            with self.renewed():
                self.write(contents.chunks, contents.vectors)

    def close(self) -> None:
        """Give back Chroma's files and connections. The next call opens them again."""
        self._home.close()

    def _read(self) -> Contents | None:
        from chromadb.errors import NotFoundError

        # Before reading: what is committed meanwhile shows as another revision at the next look.
        revision = self._home.revision() or ""
        with self._home.reading() as client, mapped_errors(self.place), suppress(NotFoundError):
            if client is not None:
                collection = client.get_collection(self.place.name, embedding_function=None)
                self._check(collection.metadata or {})
                chunks, vectors = self._all_of(collection)
                return Contents(chunks=chunks, vectors=vectors, revision=revision)
        return None

    def _all_of(self, collection: "Collection") -> tuple[tuple[StoredChunk, ...], NDArray[np.float32]]:
        chunks: list[StoredChunk] = []
        vectors = [np.empty((0, self._dimension), np.float32)]
        for page in _pages(collection.count()):
            found = collection.get(
                limit=PAGE, offset=page.start, include=["documents", "metadatas", "embeddings"]
            )
            rows = zip(found["ids"], found["documents"] or (), found["metadatas"] or (), strict=True)
            chunks += [self._parse(id_, text, metadata) for id_, text, metadata in rows]
            if found["ids"]:
                vectors.append(np.asarray(found["embeddings"], np.float32))
        if not len({chunk.id for chunk in chunks}) == len(chunks) == collection.count():
            raise StorageDamaged(
                f"the index {self.place.name} changes while it is read", mend=self.place.rebuild
            )
        return tuple(chunks), np.concatenate(vectors)

    def _parse(self, id_: str, text: str | None, metadata: Mapping[str, object] | None) -> StoredChunk:
        try:
            return parse_chunk(id_, text, metadata)
        except (KeyError, ValueError) as error:
            raise StorageDamaged(
                f"chunk {id_} of the index {self.place.name} has no readable metadata",
                why=f"{type(error).__name__}: {error}",
                mend=self.place.rebuild,
            ) from error

    def _changing(self) -> "Collection":
        return self._home.writing().get_collection(self.place.name, embedding_function=None)

    def _check(self, metadata: Mapping[str, object]) -> None:
        for key, expected in self._made_by.items():
            found = metadata.get(key)
            if found != expected:
                raise StorageDamaged(
                    f"the index {self.place.name} does not fit this version",
                    why=f"it was made with {key} {found}, here it is {expected}",
                    mend=self.place.rebuild,
                )


def _pages(count: int) -> Iterator[slice]:
    return (slice(start, start + PAGE) for start in range(0, count, PAGE))
