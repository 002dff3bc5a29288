"""Chroma on a server: a collection that is changed in place.

Text deleted from it leaves the server's disk when the server sees fit.
"""

import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from shoal.retrieval.connection import IndexPlace, close_client, mapped_errors, open_server

if TYPE_CHECKING:
    from chromadb.api.client import Client

__all__ = ["ServerHome"]


class ServerHome:
    """See `Home`."""

    def __init__(self, place: IndexPlace, url: str) -> None:
        self._place = place
        self._url = url
        self._client: Client | None = None

    def revision(self) -> str | None:
        from chromadb.errors import NotFoundError

        with mapped_errors(self._place), suppress(NotFoundError):
            found = self.writing().get_collection(self._place.name, embedding_function=None)
            return str((found.metadata or {}).get("revision"))
        return None

    @contextmanager
    def reading(self) -> "Generator[Client | None]":
        yield self.writing()

    def writing(self) -> "Client":
        if self._client is None:
            self._client = open_server(self._place, self._url)
        return self._client

    @contextmanager
    def renewed(self) -> Generator[None]:
        from chromadb.errors import NotFoundError

        with mapped_errors(self._place, writing=True), suppress(NotFoundError):
            self.writing().delete_collection(self._place.name)
        yield

    def deleting(self) -> None:
        pass

    def holds_deleted(self) -> bool:
        return False

    def commit(self) -> None:
        with mapped_errors(self._place, writing=True):
            found = self.writing().get_collection(self._place.name, embedding_function=None)
            found.modify(metadata={**(found.metadata or {}), "revision": uuid.uuid4().hex})

    def close(self) -> None:
        if self._client is not None:
            close_client(self._client)
            self._client = None
