"""Search in an index kept in Chroma: the `Retriever` of Shoal."""

import asyncio
import threading
from dataclasses import dataclass, replace

from shoal.core.errors import StorageError
from shoal.core.passage import Passage
from shoal.retrieval.collection import ChunkCollection
from shoal.retrieval.embedder import Embedder
from shoal.retrieval.memory import release_freed_memory
from shoal.retrieval.ranking import Ranking

__all__ = ["ChromaRetriever"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    revision: str
    passages: tuple[Passage, ...]
    ranking: Ranking


class ChromaRetriever:
    """Finds passages by meaning and by words.

    Loads the whole index at the first search (about 14 KB a chunk) and again when another process has
    finished writing to it. Safe to use from many tasks.
    """

    def __init__(self, collection: ChunkCollection, embedder: Embedder) -> None:
        self._collection = collection
        self._embedder = embedder
        self._loaded: _Loaded | None = None
        self._loading = threading.Lock()

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        """At most `limit` passages, best first; `score` is the cosine to the query.

        Cancelling returns at once; the worker thread ends its search in vain.

        Raises:
            StorageDamaged: the index cannot be read, or was made with another embedder or chunking.
            StorageError: there is no index; the server does not answer.
        """
        return await asyncio.to_thread(self._search, query, limit)

    def exists(self) -> bool:
        """Whether there is an index to search. Blocks.

        Raises:
            StorageDamaged, StorageError: see `search`.
        """
        with self._loading:
            return self._collection.revision() is not None

    def close(self) -> None:
        """Give back Chroma's files and connections; they are opened again when needed."""
        with self._loading:
            self._collection.close()

    def _search(self, query: str, limit: int) -> tuple[Passage, ...]:
        loaded = self._load()
        vector = self._embedder.embed([query])[0]
        return tuple(
            replace(loaded.passages[row], score=cosine)
            for row, cosine in loaded.ranking.search(query, vector, limit)
        )

    def _load(self) -> _Loaded:
        with self._loading:
            revision = self._collection.revision()
            if self._loaded is None or self._loaded.revision != revision:
                contents = self._collection.read()
                if contents is None:
                    raise StorageError(
                        f"there is no index {self._collection.place.name}",
                        why="nothing was indexed yet, or its files were removed",
                        mend=self._collection.place.add,
                    )
                passages = tuple(chunk.passage for chunk in contents.chunks)
                ranking = Ranking([passage.text for passage in passages], contents.vectors)
                self._loaded = _Loaded(revision=contents.revision, passages=passages, ranking=ranking)
                release_freed_memory()
            return self._loaded
