"""Locks that the operating system holds, gone with their process: one writer, and readers to be waited for.

Three processes that write into one Chroma folder all exit 0, count right, and leave a quarter of the
chunks unfindable; nothing in Chroma prevents it. And Chroma fails when its folder is removed under it.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from shoal.core.errors import StorageError, StorageLocked

__all__ = ["reader_lock", "wait_for_readers", "writer_lock"]

READERS_WAIT_S = 5.0
READERS_POLL_S = 0.05
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


@contextmanager
def reader_lock(path: Path) -> Generator[bool]:
    """Keep `wait_for_readers` waiting while the block runs. False: there is no such file (any more)."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        _share(file)
        yield True


def wait_for_readers(path: Path) -> bool:
    """Wait until nobody holds a `reader_lock` on the file; False: some still do after `READERS_WAIT_S`."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return True
    with file:
        give_up = time.monotonic() + READERS_WAIT_S
        while not _try_lock(file):
            if time.monotonic() > give_up:
                return False
            time.sleep(READERS_POLL_S)
        _unlock(file)
    return True


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

    def _try_lock(file: IO[Any]) -> bool:
        file.seek(LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _share(file: IO[Any]) -> None:
        """Nothing to do: Windows does not remove files that are open."""

    def _unlock(file: IO[Any]) -> None:
        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[Any]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _share(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_SH)

    def _unlock(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
