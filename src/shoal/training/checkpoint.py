"""The working folder of a tuning: who may write there, and what is whole in it."""

import json
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import ConfigError, StorageDamaged, StorageError, StorageLocked

__all__ = ["load_checkpoint", "load_result", "save_checkpoint", "save_result", "storage_errors", "work_lock"]

CHECKPOINT, RESULT, LOCK = "checkpoint.pt", "tuned.json", "lock"


@contextmanager
def work_lock(work: Path) -> Generator[None]:
    """The folder, made where there is none, is this process's alone; the lock ends with the process.

    Raises:
        StorageLocked: another process has it.
        StorageError: the folder cannot be written.
    """
    with storage_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        file = (work / LOCK).open("w")
    with file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageLocked(
                    f"another tuning runs in {work}",
                    why="two would overwrite each other's checkpoints",
                    mend="wait for it to end, or end it; its work is kept",
                ) from error
        yield


def save_checkpoint(work: Path, identity: str, state: Mapping[str, Any]) -> None:
    """Whole or not at all.

    Raises:
        StorageError: the disk is full or read-only; the checkpoint before this one is still there.
    """
    import torch

    with storage_errors(work):
        temporary = work / f"{CHECKPOINT}.new"
        with temporary.open("wb") as file:
            try:
                torch.save({**state, "identity": identity}, file)
            except RuntimeError as error:  # torch's word for a write that failed
                raise OSError(str(error).splitlines()[0]) from error
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(work / CHECKPOINT)


def load_checkpoint(work: Path, identity: str) -> Mapping[str, Any] | None:
    """What `save_checkpoint` was given; None = nothing was saved.

    Raises:
        ConfigError: it belongs to another tuning.
        StorageDamaged: it cannot be read.
    """
    import pickle

    import torch

    path = work / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state = torch.load(path, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        why = str(error).splitlines()[0]
        raise StorageDamaged(f"{path} cannot be read", why=why, mend=f"rm {path}, and begin anew") from error
    _check_identity(work, identity, state["identity"])
    return state


def save_result(work: Path, identity: str, values: Mapping[str, Any]) -> None:
    """Last of all: a folder with a result holds a whole adapter. The checkpoint goes.

    Raises:
        StorageError: the disk is full or read-only.
    """
    with storage_errors(work):
        temporary = work / f"{RESULT}.new"
        temporary.write_text(json.dumps({**values, "identity": identity}, indent=2))
        temporary.replace(work / RESULT)
        (work / CHECKPOINT).unlink(missing_ok=True)


def load_result(work: Path, identity: str) -> Mapping[str, Any] | None:
    """What `save_result` was given; None = not finished.

    Raises:
        ConfigError: it belongs to another tuning.
    """
    path = work / RESULT
    if not path.is_file():
        return None
    values = json.loads(path.read_text())
    _check_identity(work, identity, values["identity"])
    return values


@contextmanager
def storage_errors(work: Path) -> Generator[None]:
    """Names what the system says about `work`.

    Raises:
        StorageError: nothing can be written there.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the tuning cannot be saved in {work}",
            why=error.strerror or str(error),
            mend=f"see that its disk has room and is writable (df -h {work}), then call again: it resumes",
        ) from error


def _check_identity(work: Path, mine: str, found: str) -> None:
    if mine != found:
        raise ConfigError(
            f"{work} holds a tuning of other rows, settings or another base",
            why="to resume there would mix the two",
            mend=f"rm -r {work}, or use another folder",
        )
