"""The index of one knowledge folder: has its place on disk, is kept up to date, is searched.

This is what a team uses. Opening it indexes what changed in the folder since the last time, or, while
another process does that, takes what is there.
"""

import asyncio
import hashlib
import re
import shlex
import threading
import time
from pathlib import Path

from shoal.core.errors import StorageLocked
from shoal.core.passage import Passage
from shoal.retrieval.chroma import ChromaRetriever
from shoal.retrieval.chunking import ChunkSize, chunking_id
from shoal.retrieval.collection import ChunkCollection
from shoal.retrieval.connection import IndexPlace
from shoal.retrieval.embedder import Embedder
from shoal.retrieval.writer import ROOT_RECORD, IndexWriter

__all__ = ["KnowledgeIndex", "index_place", "indexed_roots", "open_index"]

LOCK_WAIT_S = 10.0
"""How long opening waits for another process that is indexing the same folder."""
LOCK_POLL_S = 0.1


async def open_index(
    root: Path, folder: Path, embedder: Embedder, *, url: str | None = None
) -> "KnowledgeIndex":
    """Open the index of the documents in `root`, brought up to date: a new folder takes a while.

    Args:
        root: a folder of .md and .txt files, or one such file.
        folder: where indexes are kept.
        embedder: an index can only be used with the one it was made with.
        url: of a Chroma server; None = embedded, in `folder`.

    Raises:
        StorageLocked: another process is making this index for the first time.
        StorageDamaged: the index cannot be read, or was made with another embedder or chunking.
        StorageError: it cannot be written; the server does not answer.
        ConfigError: there are no documents, or a file that is none.
        InputError: a file is not UTF-8 text.
    """
    index = KnowledgeIndex(root, folder, embedder, url=url)
    await index.update()
    return index


class KnowledgeIndex:
    """A `Retriever` over the documents of a folder. Safe to use from many tasks."""

    def __init__(self, root: Path, folder: Path, embedder: Embedder, *, url: str | None = None) -> None:
        size = ChunkSize()
        self.place = index_place(root, folder, url=url)

        def collection() -> ChunkCollection:
            return ChunkCollection(
                self.place, embedder=embedder.id, dimension=embedder.dimension, chunking=chunking_id(size)
            )

        # One each, because reading and writing go on in different threads.
        self.writer = IndexWriter(root, collection(), embedder, size)
        self.retriever = ChromaRetriever(collection(), embedder)

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        """At most `limit` passages, best first; `score` is the cosine to the query.

        Raises:
            StorageDamaged: the index cannot be read, or was made with another embedder or chunking.
            StorageError: there is no index; the server does not answer.
        """
        return await self.retriever.search(query, limit=limit)

    async def update(self) -> None:
        """Index what changed, or wait up to `LOCK_WAIT_S` for another process that is doing it.

        Cancelling stops the work after the document at hand; the next update goes on from there.

        Raises:
            StorageLocked, StorageDamaged, StorageError, ConfigError, InputError: see `open_index`.
        """
        cancelled = threading.Event()

        def stop_if_cancelled(_source: str, _done: int, _total: int) -> None:
            if cancelled.is_set():
                raise InterruptedError

        give_up = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                _ = await asyncio.to_thread(self.writer.add, stop_if_cancelled)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            except StorageLocked:
                if time.monotonic() < give_up:
                    await asyncio.sleep(LOCK_POLL_S)
                    continue
                if not await asyncio.to_thread(self.retriever.exists):
                    raise
            return

    async def aclose(self) -> None:
        """Give back Chroma's files and connections."""
        await asyncio.to_thread(self.retriever.close)


def index_place(root: Path, folder: Path, *, url: str | None = None) -> IndexPlace:
    """Where in `folder` the index of `root` is: one place for each absolute path."""
    path = root.resolve()
    readable = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40] or "index"
    name = f"{readable}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    add = shlex.join(["shoal", "index", "add", str(root), "--data", str(folder)])
    return IndexPlace(name=name, folder=folder / name, add=add, url=url)


def indexed_roots(folder: Path) -> list[Path]:
    """What has an index in `folder`, sorted."""
    return sorted(Path(record.read_text(encoding="utf-8")) for record in folder.glob(f"*/{ROOT_RECORD}"))
