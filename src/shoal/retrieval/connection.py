"""A connection to Chroma, embedded or server, and what its errors mean.

Telemetry is off, and Chroma's own embedding function, which downloads a model, is never used.
"""

import itertools
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from shoal.core.errors import ConfigError, StorageDamaged, StorageError, StorageLocked

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.config import Settings

__all__ = [
    "IndexPlace",
    "close_client",
    "close_embedded",
    "mapped_errors",
    "open_embedded",
    "open_server",
]

SQLITE_CODE = re.compile(r"\(code: (\d+)\)")
"""Chroma has one class for every failure of SQLite; the result code is only in its text."""
DISK_FULL_BYTES = 1 << 20
"""Below this a failure that names no reason is put down to the disk. An interrupted write frees some."""
SQLITE_BUSY, SQLITE_LOCKED = 5, 6
SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN = 8, 10, 13, 14
_opened = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPlace:
    """Where one index lives."""

    name: str
    """Of the collection: 3 to 512 of [a-zA-Z0-9._-]."""
    folder: Path
    """Holds the writer's lock and, without a server, Chroma's files."""
    add: str
    """The command that brings the index up to date."""
    url: str | None = None
    """Of a Chroma server; None = embedded, in `folder`."""

    @property
    def rebuild(self) -> str:
        """The command that makes the index anew."""
        return f"{self.add} --rebuild"


def open_embedded(place: IndexPlace, folder: Path) -> "Client":
    """Open the Chroma in `folder`. Takes a second the first time in a process: that is Chroma's import.

    Chroma shares one engine per path string in a process. Ours must be able to be closed and opened alone:
    an engine that was open while another process wrote does not know the new vectors. So every client gets
    a spelling of the path of its own. That also keeps an engine that failed to start, which Chroma does not
    forget, from being handed out again.

    Raises:
        StorageDamaged: Chroma cannot read its files.
        StorageError: the folder cannot be written.
    """
    import chromadb
    from chromadb.errors import ChromaError

    with mapped_errors(place):
        try:
            client = chromadb.PersistentClient(_own_spelling(folder), settings=_settings())
        except (AttributeError, ValueError) as error:
            # What Chroma raises while it cleans up after, or hides, the error that matters.
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, ChromaError):
                cause = cause.__context__
            raise _meaning(place, str(cause or error), writing=False) from error
    return cast("Client", client)


def open_server(place: IndexPlace, url: str) -> "Client":
    """Connect to a Chroma server.

    Raises:
        ConfigError: the URL is not one.
        StorageError: the server does not answer.
    """
    import chromadb

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f'"{url}" is not the URL of a Chroma server', mend="write it as http://127.0.0.1:8000"
        )
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    try:
        client = chromadb.HttpClient(host=parts.hostname, port=port, ssl=secure, settings=_settings())
    except ValueError as error:  # what Chroma turns every failure to connect into
        raise _no_server(place, error) from error
    return cast("Client", client)


def _settings() -> "Settings":
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False, chroma_otel_collection_endpoint="")


def _own_spelling(folder: Path) -> str:
    """The same folder, written as never before in this process: "/./" and "//" are binary digits."""
    digits = f"{next(_opened):b}".replace("0", os.sep).replace("1", f".{os.sep}")
    return f"{folder}{os.sep}{digits}"


@contextmanager
def mapped_errors(place: IndexPlace, *, writing: bool = False) -> Generator[None]:
    """Turn what Chroma raises into errors of ours.

    Args:
        place: the index that is worked on.
        writing: it was just read without complaint, so that a failure without a reason is not its damage.

    Raises:
        StorageDamaged: Chroma cannot make sense of what it reads.
        StorageLocked: SQLite waited too long for another process.
        StorageError: the server does not answer; disk full, read-only or failing.
    """
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except httpx.HTTPError as error:
        raise _no_server(place, error) from error
    except OSError as error:
        raise _unwritable(place, str(error)) from error
    except ChromaError as error:
        raise _meaning(place, str(error), writing=writing) from error


def close_client(client: "Client") -> None:
    """Give back files and connections."""
    import httpx

    client.close()
    # Chroma 1.5.9 leaves both of its connections to a server open, and has no public way to them.
    for holder in (client, vars(client)["_admin_client"]):
        server: object = vars(holder)["_server"]
        session = vars(server).get("_session")
        if isinstance(session, httpx.Client):
            session.close()


def close_embedded(client: "Client", folder: Path) -> None:
    """Close, and empty the files of Chroma's approximate index in `folder`.

    They are never read here (`SYNC_NEVER` in collection.py), and Chroma 1.5.9 fills new ones with whatever
    this process had in memory: text of documents that were deleted, of other folders, or worse.
    """
    close_client(client)
    for path in folder.glob("*/*.bin"):
        with suppress(OSError):  # Windows: another reader has it open, and will come here in its turn
            os.truncate(path, 0)


def _meaning(place: IndexPlace, text: str, *, writing: bool) -> StorageError:
    found = SQLITE_CODE.search(text)
    code = int(found[1]) & 0xFF if found else None
    if code in {SQLITE_BUSY, SQLITE_LOCKED}:
        return StorageLocked(f"the index at {place.folder} is busy", why=text, mend="try again")
    if code in {SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN}:
        return _unwritable(place, text)
    full = place.url is None and shutil.disk_usage(place.folder).free < DISK_FULL_BYTES
    if code is None and (writing or full):
        return _unwritable(place, text)
    where = place.url or place.folder
    return StorageDamaged(f"the index {place.name} at {where} is damaged", why=text, mend=place.rebuild)


def _unwritable(place: IndexPlace, why: str) -> StorageError:
    return StorageError(
        f"cannot write the index at {place.folder}",
        why=why,
        mend=f"free space there (df -h {place.folder}) or make it writable (chmod -R u+rwX {place.folder})",
    )


def _no_server(place: IndexPlace, error: Exception) -> StorageError:
    return StorageError(
        f"no Chroma server answers at {place.url}",
        why=str(error),
        mend=f"chroma run --path {place.folder}, or remove the URL to use the embedded one",
    )
