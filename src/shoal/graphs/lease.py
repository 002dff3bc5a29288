"""One process at a time works on a run: a lock of the operating system's, gone with whoever holds it.

Without it, a run that is resumed while it still runs somewhere does its work twice; LangGraph has no
concurrency control of its own.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from shoal.core.errors import RunError, StorageError
from shoal.core.lock import holder_of, try_lock, unlock, write_holder

__all__ = ["lease"]


@contextmanager
def lease(folder: Path, run_id: str) -> Generator[None]:
    """Hold the run while the block runs.

    Raises:
        RunError: somebody else works on it; says which process.
        StorageError: the folder cannot be written.
    """
    path = folder / run_id
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"cannot write to {folder}", why=str(error), mend=f"chmod u+rwx {folder}"
            ) from error
        with file:
            if not try_lock(file):
                holder = holder_of(path)
                raise RunError(
                    f"run {run_id[:8]} is being worked on",
                    why=f"process {holder[0]} on {holder[1]} holds it" if holder else "by another process",
                    mend=f"wait for it: shoal trace {run_id[:8]}",
                )
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
