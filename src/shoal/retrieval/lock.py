"""One writer for an index: a lock file held by the operating system, gone when its process is.

Three processes that write into one Chroma folder all exit 0, count right, and leave a quarter of the
chunks unfindable; nothing in Chroma prevents it. Readers take no lock.
"""

import json
import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from shoal.core.errors import StorageError, StorageLocked

__all__ = ["writer_lock"]

LOCKED_BYTE = 1 << 30
"""Windows locks bytes, not files: one far behind the text, so that others can read who holds it."""


@contextmanager
def writer_lock(path: Path) -> Generator[None]:
    """Hold the lock at `path` while the block runs.

    Raises:
        StorageLocked: another writer holds it; says which process.
        StorageError: the lock file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot write to {path.parent}", why=str(error), mend=f"chmod u+rwx {path.parent}"
        ) from error
    with file:
        if not _try_lock(file):
            raise _held(path)
        try:
            _write_holder(file)
            yield
        finally:
            _unlock(file)


def _write_holder(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
    file.flush()


def _held(path: Path) -> StorageLocked:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who, mend = f"process {holder['pid']} on {holder['host']}", f"kill {holder['pid']}"
    except (OSError, ValueError, KeyError, TypeError):  # the holder has not written its name yet
        who, mend = "another process", ""
    return StorageLocked(
        f"the index at {path.parent} is being written by {who}",
        why="an index has one writer at a time",
        mend=f"wait until it is done{f', or end it: {mend}' if mend else ''}",
    )


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[str]) -> bool:
        file.seek(LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
