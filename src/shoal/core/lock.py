"""Locks on files that the operating system holds, gone with their process. Also apart within one process."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from shoal.core.errors import ShoalError, StorageError

__all__ = ["hold", "holder_of", "share", "try_lock", "unlock", "write_holder"]

POLL_S = 0.02
LOCKED_BYTE = 1 << 30
"""Windows locks bytes, not files: one far behind the text, so that others can read who holds it."""


@contextmanager
def hold(path: Path, refusal: Callable[[str], ShoalError], *, wait_s: float = 0.0) -> Generator[None]:
    """Hold the lock at `path` while the block runs, and remove its file afterwards.

    `refusal` makes the error for a lock that is still held after `wait_s`, from words for its holder.

    Raises:
        ShoalError: what `refusal` made.
        StorageError: the lock file cannot be written.
    """
    give_up = time.monotonic() + wait_s
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"cannot write to {path.parent}", why=str(error), mend=f"chmod u+rwx {path.parent}"
            ) from error
        with file:
            if not try_lock(file):
                if time.monotonic() < give_up:
                    time.sleep(POLL_S)
                    continue
                holder = holder_of(path)
                raise refusal(f"process {holder[0]} on {holder[1]}" if holder else "another process")
            if _is_gone(path, file.fileno()):
                continue  # its last holder removed it after we had opened it
            try:
                write_holder(file)
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
                unlock(file)
            return


def _is_gone(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return True


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
