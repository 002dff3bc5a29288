"""Locks on files that the operating system holds, gone with their process. Also apart within one process."""

import json
import os
import socket
import sys
from pathlib import Path
from typing import IO, Any

__all__ = ["holder_of", "share", "try_lock", "unlock", "write_holder"]

LOCKED_BYTE = 1 << 30
"""Windows locks bytes, not files: one far behind the text, so that others can read who holds it."""


def write_holder(file: IO[str]) -> None:
    """Say in a locked file who holds it."""
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
    file.flush()


def holder_of(path: Path) -> tuple[int, str] | None:
    """Process that holds the lock, and its host; None = it has not written its name yet."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return int(holder["pid"]), str(holder["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[Any]) -> bool:
        """Take the lock, or return False at once: somebody holds it."""
        file.seek(LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def share(file: IO[Any]) -> None:
        """Nothing to do: Windows does not remove files that are open."""

    def unlock(file: IO[Any]) -> None:
        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[Any]) -> bool:
        """Take the lock, or return False at once: somebody holds it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(file: IO[Any]) -> None:
        """Wait until nobody holds the lock, and share it with other readers."""
        fcntl.flock(file, fcntl.LOCK_SH)

    def unlock(file: IO[Any]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
