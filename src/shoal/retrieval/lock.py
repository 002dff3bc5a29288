"""Locks that the operating system holds, gone with their process: one writer, and readers to be waited for.

Three processes that write into one Chroma folder all exit 0, count right, and leave a quarter of the
chunks unfindable; nothing in Chroma prevents it. And Chroma fails when its folder is removed under it.
"""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from shoal.core.errors import StorageLocked
from shoal.core.lock import hold, share, try_lock, unlock

__all__ = ["reader_lock", "wait_for_readers", "writer_lock"]

READERS_WAIT_S = 5.0
READERS_POLL_S = 0.05


def writer_lock(path: Path) -> AbstractContextManager[None]:
    """Hold the lock at `path` while the block runs.

    Raises:
        StorageLocked: another writer holds it; says which process.
        StorageError: the lock file cannot be written.
    """

    def refusal(holder: str) -> StorageLocked:
        return StorageLocked(
            f"the index at {path.parent} is being written by {holder}",
            why="an index has one writer at a time",
            mend="wait until it is done, or end that process",
        )

    return hold(path, refusal)


@contextmanager
def reader_lock(path: Path) -> Generator[bool]:
    """Keep `wait_for_readers` waiting while the block runs. False: there is no such file (any more)."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        share(file)
        yield True


def wait_for_readers(path: Path) -> bool:
    """Wait until nobody holds a `reader_lock` on the file; False: some still do after `READERS_WAIT_S`."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return True
    with file:
        give_up = time.monotonic() + READERS_WAIT_S
        while not try_lock(file):
            if time.monotonic() > give_up:
                return False
            time.sleep(READERS_POLL_S)
        unlock(file)
    return True
