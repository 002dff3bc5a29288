"""One process at a time works on a run: a lock of the operating system's, gone with whoever holds it.

Without it, a run that is resumed while it still runs somewhere does its work twice; LangGraph has no
concurrency control of its own.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shoal.core.errors import RunError
from shoal.core.lock import hold

__all__ = ["lease"]


@contextmanager
def lease(folder: Path, run_id: str) -> Generator[None]:
    """Hold the run while the block runs.

    Raises:
        RunError: somebody else works on it; says which process.
        StorageError: the folder cannot be written.
    """

    def refusal(holder: str) -> RunError:
        return RunError(
            f"run {run_id[:8]} is being worked on",
            why=f"{holder} holds it",
            mend=f"wait for it: shoal trace {run_id[:8]}",
        )

    with hold(folder / run_id, refusal):
        yield
