"""Brings an index in line with a folder of documents, and says where it is not.

Every chunk is derived from the files, so nothing here is precious: what is damaged, interrupted or
outdated is written again. Files are compared by content hash, not by time: reading them is cheap,
embedding them is not.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import StorageError
from shoal.core.passage import Passage
from shoal.retrieval.chunking import ChunkSize, chunk_document
from shoal.retrieval.collection import ChunkCollection
from shoal.retrieval.connection import mapped_errors
from shoal.retrieval.document import Document, find_documents, read_document
from shoal.retrieval.embedder import Embedder
from shoal.retrieval.integrity import Damage, checksum, chunk_id, find_damage
from shoal.retrieval.lock import writer_lock
from shoal.retrieval.record import Contents, StoredChunk

__all__ = ["ROOT_RECORD", "AddReport", "IndexWriter", "Progress"]

LOCK = "writer.lock"
ROOT_RECORD = "root.txt"
"""Holds the path of the indexed folder: the index's own name cannot be turned back into it."""
Vectors = dict[str, NDArray[np.float32]]
"""By chunk id."""

Progress = Callable[[str, int, int], None]
"""Called with (source, documents done, documents in all) after each document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReport:
    """Sources, by what happened to them."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """New content, or mended after damage."""
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    chunks: int = 0
    """In the index now."""


class IndexWriter:
    """Writes the index of one folder. Its methods block; they take the writer's lock while they work."""

    def __init__(self, root: Path, collection: ChunkCollection, embedder: Embedder, size: ChunkSize) -> None:
        self._root = root
        self._collection = collection
        """Nobody else's: see `ChunkCollection`."""
        self._embedder = embedder
        self._size = size

    def add(self, progress: Progress | None = None) -> AddReport:
        """Index what is new, changed or damaged; forget what is gone. Safe to kill and to run again.

        Raises:
            StorageLocked: another process is writing this index.
            StorageDamaged: the index was made with other parts, or Chroma cannot read it.
            StorageError: it cannot be written.
            ConfigError, InputError: a file cannot be indexed; says which.
        """
        with self._lock():
            return self._add(progress)

    def rebuild(self, progress: Progress | None = None) -> AddReport:
        """Make the index anew, and only then throw the old one away. On a server it is the other way round.

        Raises:
            StorageLocked, StorageError, ConfigError, InputError: see `add`.
        """
        with self._lock(), self._collection.renewed():
            return self._add(progress)

    def verify(self) -> tuple[Damage, ...]:
        """Everything wrong with the index: in itself, and compared with the files as they are now.

        Raises:
            StorageLocked: it is being written, so that anything found would mean nothing.
            StorageDamaged: Chroma cannot read it at all.
            StorageError: there is no index.
            ConfigError, InputError: see `add`.
        """
        with self._lock():
            contents = self._collection.read()
        if contents is None:
            place = self._collection.place
            raise StorageError(
                f"there is no index {place.name}",
                why="nothing was indexed yet, or its files were removed",
                mend=place.add,
            )
        return (*find_damage(contents), *self._out_of_date(contents))

    @contextmanager
    def _lock(self) -> Generator[None]:
        with writer_lock(self._collection.place.folder / LOCK), closing(self._collection):
            yield

    def _add(self, progress: Progress | None) -> AddReport:
        files = find_documents(self._root)
        before = self._collection.read()
        if before is None:
            with self._collection.renewed():
                pass
            before = self._collection.read()
            assert before is not None, "made just now"
        with mapped_errors(self._collection.place, writing=True):
            record = self._collection.place.folder / ROOT_RECORD
            _ = record.write_text(str(self._root.resolve()), encoding="utf-8")
        stored = _by_source(before)
        damaged = {damage.source for damage in find_damage(before)}
        vectors = _sound_vectors(before)
        outcome: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
        chunks = 0
        for done, (source, path) in enumerate(files.items(), start=1):
            document = read_document(source, path)
            old = stored.pop(source, [])
            if old and source not in damaged and old[0].document == document.sha256:
                outcome["unchanged"].append(source)
                chunks += len(old)
            elif new := self._chunks(document):
                self._replace(old, new, vectors)
                outcome["changed" if old else "added"].append(source)
                chunks += len(new)
            elif old:
                stored[source] = old  # nothing but white space is left in it
            if progress is not None:
                progress(source, done, len(files))
        self._collection.delete([chunk.id for old in stored.values() for chunk in old])
        if outcome["added"] or outcome["changed"] or stored:
            self._collection.commit()
        self._collection.purge()
        return AddReport(
            added=tuple(outcome["added"]),
            changed=tuple(outcome["changed"]),
            removed=tuple(sorted(stored)),
            unchanged=tuple(outcome["unchanged"]),
            chunks=chunks,
        )

    def _chunks(self, document: Document) -> list[StoredChunk]:
        """The chunks a document must have, their checksums still open."""
        pieces = chunk_document(
            document.text, self._embedder.token_spans, markdown=document.markdown, size=self._size
        )
        passages = [
            Passage(
                text=piece.text,
                source=document.source,
                start=piece.start,
                end=piece.end,
                heading=piece.heading,
            )
            for piece in pieces
        ]
        return [
            StoredChunk(
                id=chunk_id(passage),
                passage=passage,
                document=document.sha256,
                number=number,
                count=len(passages),
                checksum="",
            )
            for number, passage in enumerate(passages)
        ]

    def _replace(self, old: Sequence[StoredChunk], new: Sequence[StoredChunk], vectors: Vectors) -> None:
        """Write first, then delete: killed in between, too much is there and nothing is missing."""
        fresh = [chunk for chunk in new if chunk.id not in vectors]
        embedded = self._embedder.embed([embedding_text(chunk.passage) for chunk in fresh])
        computed = {chunk.id: vector for chunk, vector in zip(fresh, embedded, strict=True)}
        rows = np.stack([computed[chunk.id] if chunk.id in computed else vectors[chunk.id] for chunk in new])
        sealed = [replace(chunk, checksum=checksum(row)) for chunk, row in zip(new, rows, strict=True)]
        self._collection.write(sealed, rows)
        wanted = {chunk.id for chunk in new}
        self._collection.delete([chunk.id for chunk in old if chunk.id not in wanted])

    def _out_of_date(self, contents: Contents) -> list[Damage]:
        """How the files differ from what was indexed."""
        files = find_documents(self._root)
        stored = _by_source(contents)
        damage: list[Damage] = []
        for source, path in files.items():
            document = read_document(source, path)
            chunks = stored.pop(source, [])
            if not chunks and document.text.strip():
                damage.append(Damage(source=source, kind="unindexed", detail="the file is not in the index"))
            elif chunks and document.sha256 not in {chunk.document for chunk in chunks}:
                damage.append(Damage(source=source, kind="stale", detail="the file was changed"))
        gone = [Damage(source=source, kind="removed", detail="the file is gone") for source in stored]
        return damage + gone


def embedding_text(passage: Passage) -> str:
    """What is embedded for a passage: its headings say what a paragraph from the middle is about."""
    return f"{passage.heading}\n{passage.text}" if passage.heading else passage.text


def _by_source(contents: Contents) -> dict[str, list[StoredChunk]]:
    found: defaultdict[str, list[StoredChunk]] = defaultdict(list)
    for chunk in contents.chunks:
        found[chunk.passage.source].append(chunk)
    return dict(found)


def _sound_vectors(contents: Contents) -> Vectors:
    """Vectors that need not be computed again: a chunk's id fixes its text, and so its vector."""
    return {
        chunk.id: vector
        for chunk, vector in zip(contents.chunks, contents.vectors, strict=True)
        if chunk_id(chunk.passage) == chunk.id and checksum(vector) == chunk.checksum
    }
