"""Where the Chroma of an index lives: in files beside this process, or on a server.

What differs between the two is how a reader learns of changes, how a new index takes the place of the old
one, and who has to see to it that deleted text leaves the disk.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chromadb.api.client import Client

__all__ = ["Home"]


class Home(Protocol):
    """Methods block and may raise `StorageError`. Use an object in one thread at a time."""

    def revision(self) -> str | None:
        """Changes with every `commit`; None = there is no index yet."""
        ...

    def reading(self) -> "AbstractContextManager[Client | None]":
        """A client that sees all that was written so far; None = there is no index yet."""
        ...

    def writing(self) -> "Client":
        """A client to change the index with."""
        ...

    def renewed(self) -> AbstractContextManager[None]:
        """Within the block `writing` is a new, empty Chroma. It takes the old one's place when the block ends
        without an error; on a server the old one is gone at once.
        """
        ...

    def deleting(self) -> None:
        """Called before chunks are deleted."""
        ...

    def holds_deleted(self) -> bool:
        """Text of deleted chunks is still on the disk, and it is for us to remove it."""
        ...

    def commit(self) -> None:
        """Tell readers that there is something new."""
        ...

    def close(self) -> None:
        """Give back files and connections. They are opened again when needed."""
        ...
