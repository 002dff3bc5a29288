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
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
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
        self._is_giving_way = False
        self._is_changing = False
        """In `alone`, where a second lock on a file would take the place of the first."""

    @property
    def is_giving_way(self) -> bool:
        """Whether this process may start nothing: others change what is loaded before it does."""
        return self._is_giving_way

    def share(self) -> bool:
        """Try to use what is loaded; False = somebody is changing it, or waits to."""
        turn, gate = self._open()
        if not (self.is_held or self._is_changing) and _lock(gate, "shared"):
            try:
                self.is_held = _lock(turn, "shared")
            finally:
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
    async def alone(self, *, is_idle: Callable[[], bool] = lambda: True) -> AsyncGenerator[None]:
        """Wait until nobody else uses what is loaded, and keep them out. Afterwards the turn is shared.

        `is_idle` says whether nothing of this process runs: a turn that is held is kept until then, so that
        nobody changes what it runs on.

        Raises:
            StorageError: the turns cannot be kept there.
        """
        turn, gate = self._open()
        self._is_changing = True
        try:
            await self._enter_gate(gate, is_idle)
            await self._wait_for_others(turn)
            try:
                yield
            finally:
                self.is_held = _lock(turn, "shared")
        finally:
            self._is_changing = self._is_giving_way = False
            _unlock(gate)

    def close(self) -> None:
        """Idempotent; a later use opens the files again."""
        self.release()
        for file in self._files:
            os.close(file)
        self._files = []

    async def _enter_gate(self, gate: int, is_idle: Callable[[], bool]) -> None:
        while not _lock(gate, "alone"):
            self._is_giving_way = True  # who stands there waits for the turn of this process, too
            if is_idle():
                self.release()
            await asyncio.sleep(POLL_S)  # the kernel could block a thread, but not wake an event loop
        self._is_giving_way = not self.is_held

    async def _wait_for_others(self, turn: int) -> None:
        """From within the gate: nobody comes in any more."""
        while not _lock(turn, "alone"):
            if self.is_held:
                self.is_held = _lock(turn, "shared")  # the kernel takes a lock away that cannot be raised
            await asyncio.sleep(POLL_S)
        self.is_held = self._is_giving_way = False  # it is more than shared

    def _open(self) -> list[int]:
        if not self._files:
            try:
                self._paths[0].parent.mkdir(parents=True, exist_ok=True)
                self._files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in self._paths]
            except OSError as error:
                mend = "set data_dir in shoal.toml to a folder that can be written"
                raise _failure(error, mend=mend) from error
        return self._files


def _lock(file: int, mode: Mode) -> bool:
    try:
        _flock(file, mode)
    except BlockingIOError:
        return False
    except OSError as error:  # ENOLCK, EOPNOTSUPP: network and user-space file systems
        raise _failure(error, mend="set data_dir in shoal.toml to a folder on a local disk") from error
    return True


def _flock(file: int, mode: Mode) -> None:
    if fcntl is not None:
        fcntl.flock(file, (fcntl.LOCK_SH if mode == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _unlock(file: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # what cannot be locked was not; the kernel lets go when the file is closed
            fcntl.flock(file, fcntl.LOCK_UN)


def _failure(error: OSError, *, mend: str) -> StorageError:
    return StorageError("the turns of models cannot be kept", why=str(error), mend=mend)
