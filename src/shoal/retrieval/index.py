"""The index of one knowledge folder: finds its place on disk, keeps it up to date, searches it.

This is what a team uses. It does nothing until the first search; then it indexes what changed in the
folder since the last time, or, while another process does that, reads what is there.
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
from shoal.retrieval.document import find_documents
from shoal.retrieval.embedder import TokenizingEmbedder
from shoal.retrieval.writer import ROOT_RECORD, IndexWriter

__all__ = ["KnowledgeIndex", "index_place", "indexed_roots", "open_index"]

LOCK_WAIT_S = 10.0
"""How long a first search waits for another process that is indexing the same folder."""
LOCK_POLL_S = 0.1


class KnowledgeIndex:
    """A `Retriever` over the documents of a folder. Safe to use from many tasks."""

    def __init__(self, collection: ChunkCollection, writer: IndexWriter, retriever: ChromaRetriever) -> None:
        self.collection = collection
        self.writer = writer
        self.retriever = retriever
        """Searches what is there, without looking at the folder first."""
        self._up_to_date = False
        self._updating = threading.Lock()

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        """At most `limit` passages, best first; `score` is the cosine to the query.

        The first call indexes what is new or changed: seconds to minutes for a new folder.

        Raises:
            StorageLocked: another process is making this index for the first time.
            StorageDamaged: the index cannot be read, or was made with another embedder or chunking.
            StorageError: it cannot be written; the server does not answer.
            ConfigError, InputError: a file in the folder cannot be indexed; says which.
        """
        if not self._up_to_date:
            await asyncio.to_thread(self._update)
        return await self.retriever.search(query, limit=limit)

    async def aclose(self) -> None:
        """Give back Chroma's files and connections."""
        await asyncio.to_thread(self.collection.close)

    def _update(self) -> None:
        with self._updating:
            if self._up_to_date:
                return
            give_up = time.monotonic() + LOCK_WAIT_S
            while True:
                try:
                    _ = self.writer.add()
                    break
                except StorageLocked:
                    if time.monotonic() > give_up:
                        if self.collection.revision() is None:
                            raise
                        break
                    time.sleep(LOCK_POLL_S)
            self._up_to_date = True


def open_index(
    root: Path,
    data_folder: Path,
    embedder: TokenizingEmbedder,
    *,
    url: str | None = None,
    size: ChunkSize | None = None,
) -> KnowledgeIndex:
    """The index of the documents in `root`, kept under `data_folder`. Reads file names, no more.

    Raises:
        ConfigError: `root` does not exist, is empty, or holds a file that cannot be indexed.
    """
    _ = find_documents(root)
    size = size or ChunkSize()
    collection = ChunkCollection(
        index_place(root, data_folder, url=url),
        embedder=embedder.id,
        dimension=embedder.dimension,
        chunking=chunking_id(size),
    )
    return KnowledgeIndex(
        collection,
        IndexWriter(root, collection, embedder, size),
        ChromaRetriever(collection, embedder),
    )


def index_place(root: Path, data_folder: Path, *, url: str | None = None) -> IndexPlace:
    """Where the index of `root` is: one folder and one collection for each absolute path."""
    path = root.resolve()
    readable = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40] or "index"
    name = f"{readable}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    command = ["shoal", "index", "add", "--rebuild", str(root), "--data", str(data_folder)]
    return IndexPlace(name=name, folder=data_folder / "index" / name, rebuild=shlex.join(command), url=url)


def indexed_roots(data_folder: Path) -> list[Path]:
    """The folders that have an index under `data_folder`, sorted."""
    return sorted(
        Path(record.read_text(encoding="utf-8"))
        for record in (data_folder / "index").glob(f"*/{ROOT_RECORD}")
    )
