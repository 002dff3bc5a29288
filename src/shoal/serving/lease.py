"""Whose turn it is to say what is in a host's memory, where several processes share it.

Two files per host in the data folder, locked by the kernel, which lets go when a process dies: nothing to
take over, nothing to clean up.

    turn   shared: "I use what is loaded"; alone: "I change what is loaded"
    gate   passed on the way to `turn`; who wants to be alone stands in it, so that nobody else comes in

Where there are no such locks (Windows) every process is alone in the world.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, final

from shoal.core.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["POLL_S", "Lease"]

POLL_S = 0.02
"""How often a lock is tried that somebody else holds."""
Mode = Literal["shared", "alone"]


@final
class Lease:
    """This process's part in the turns of one host. For one event loop."""

    def __init__(self, folder: Path, host: str) -> None:
        """Nothing is opened here."""
        name = hashlib.sha256(host.encode()).hexdigest()[:16]
        self._paths = [folder / f"{name}.{part}" for part in ("turn", "gate")]
        self._files: list[int] = []
        self.is_held = False
        self._is_changing = False
        """Stands in the gate or is alone: a second lock on a file takes the place of the first."""

    def share(self) -> bool:
        """Try to use what is loaded; False = somebody is changing it, or waits to."""
        turn, gate = self._open()
        if not (self.is_held or self._is_changing) and _lock(gate, "shared"):
            self.is_held = _lock(turn, "shared")
            _unlock(gate)
        return self.is_held

    def is_wanted(self) -> bool:
        """Whether somebody else waits to change what is loaded."""
        _, gate = self._open()
        if self._is_changing:
            return False
        if not _lock(gate, "shared"):
            return True
        _unlock(gate)
        return False

    def release(self) -> None:
        """Use it no longer. Idempotent."""
        if self.is_held:
            _unlock(self._files[0])
            self.is_held = False

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Wait until nobody else uses what is loaded, and keep them out. Afterwards the turn is shared."""
        self.release()
        turn, gate = self._open()
        self._is_changing = True
        try:
            await _wait(gate)
            await _wait(turn)
            try:
                yield
            finally:
                self.is_held = _lock(turn, "shared")
        finally:
            self._is_changing = False
            _unlock(gate)

    def close(self) -> None:
        """Idempotent; a later use opens the files again."""
        self.release()
        for file in self._files:
            os.close(file)
        self._files = []

    def _open(self) -> list[int]:
        if not self._files:
            try:
                self._paths[0].parent.mkdir(parents=True, exist_ok=True)
                self._files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in self._paths]
            except OSError as error:
                mend = "set data_dir in shoal.toml to a folder that can be written"
                raise StorageError("the turns of models cannot be kept", why=str(error), mend=mend) from error
        return self._files


async def _wait(file: int) -> None:
    while not _lock(file, "alone"):  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)  # the kernel could block a thread, but not wake an event loop


def _lock(file: int, mode: Mode) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if mode == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)
