"""The one thread that writes to a ledger: many tasks ask, one transaction answers many of them.

Not a queue of things to be written some day: whoever asks waits until the work is committed, and is told
when it cannot be. While one commit is on its way the next ones gather, so a thousand writers cost a few
commits, and neither SQLite nor a lock ever holds up an event loop.
"""

import asyncio
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from shoal.core.errors import ShoalError, StorageError
from shoal.core.wal import is_busy
from shoal.tracing.ledger_schema import LOCK_WAIT_S, storage_error

__all__ = ["LedgerWriter"]

T = TypeVar("T")

QUEUE_LIMIT = 4096
"""Works that may wait; whoever comes next waits for a place."""
BATCH_LIMIT = 512
"""Works in one commit: some 10 ms during which other processes wait."""
LOCK_SLICE_MS = 200
"""How long SQLite waits for a lock before the thread looks after its queue again."""


@dataclass(slots=True)
class _Ticket:
    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    asked_at: float
    value: Any = None
    error: ShoalError | None = None


@final
class LedgerWriter:
    """Takes over the connection: no other thread may use it afterwards.

    One that is forgotten without `aclose` ends all the same: its thread knows the desk only, not the writer.
    """

    def __init__(self, db: sqlite3.Connection, path: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self._desk = _Desk(db, path, lock_wait_s)
        # A daemon: a program that forgets to close still ends. What it was told is done, is committed.
        self._thread = threading.Thread(target=self._desk.run, name="shoal-ledger", daemon=True)
        self._thread.start()
        self._close = weakref.finalize(self, self._desk.close)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` inside a transaction and return its value once that is committed.

        `work` executes at most one writing statement, and may be called again when a commit failed. If it
        raises a `ShoalError`, it must not have written. Cancelling the wait does not undo the work.

        Raises:
            StorageLocked: another process held the lock too long.
            StorageError: disk full, read-only, damaged, moved away, or the ledger is closed.
        """
        return await self._desk.write(work)

    async def aclose(self) -> None:
        """Commit what was asked for, then close the file. Idempotent."""
        self._close()
        await asyncio.to_thread(self._thread.join)


@final
class _Desk:
    """What waits to be written, and the connection it is written to."""

    def __init__(self, db: sqlite3.Connection, path: Path, lock_wait_s: float) -> None:
        self._db = db
        self._path = path
        self._inode = path.stat().st_ino
        self._lock_wait_s = lock_wait_s
        # Reentrant: `close` may come from the garbage collector, in a thread that holds it.
        lock = threading.RLock()
        self._has_work = threading.Condition(lock)
        self._has_room = threading.Condition(lock)
        self._queue: deque[_Ticket] = deque()
        self._is_closed = False

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        ticket = _Ticket(work, loop, done, time.monotonic())
        if not self._admit(ticket, wait=False):
            # In a thread, so that the ticket gets its place even if this task is cancelled meanwhile.
            await asyncio.to_thread(self._admit, ticket, wait=True)
        return await done

    def close(self) -> None:
        """Take nothing more; what was asked for is still committed."""
        with self._has_work:
            self._is_closed = True
            self._has_work.notify_all()
            self._has_room.notify_all()

    def _admit(self, ticket: _Ticket, *, wait: bool) -> bool:
        """Give it a place in the queue; False = there is none, and it would not wait."""
        with self._has_room:
            while len(self._queue) >= QUEUE_LIMIT and not self._is_closed:
                if not wait:
                    return False
                self._has_room.wait()
            if self._is_closed:
                raise self._closed_error()
            self._queue.append(ticket)
            self._has_work.notify()
            return True

    def run(self) -> None:
        """The thread's work, until the desk is closed and empty."""
        waiting: list[_Ticket] = []
        try:
            self._db.execute(f"PRAGMA busy_timeout={LOCK_SLICE_MS}")
            while self._gather(waiting):
                waiting = self._commit(waiting)
        finally:
            # Reached with work left only if something here is wrong; then nobody may wait for ever.
            self._abandon(waiting)
            self._db.close()

    def _gather(self, waiting: list[_Ticket]) -> bool:
        """Add to what is waiting what is in the queue, sleeping while there is nothing. False = the end."""
        with self._has_work:
            while not (self._queue or waiting or self._is_closed):
                self._has_work.wait()
            while self._queue and len(waiting) < BATCH_LIMIT:
                waiting.append(self._queue.popleft())
            self._has_room.notify_all()
        return bool(waiting)

    def _commit(self, batch: list[_Ticket]) -> list[_Ticket]:
        """Do the works in one transaction, tell their owners, return those that must wait for the lock."""
        if not self._is_in_place():
            _fail(batch, self._moved_error)
            return []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for ticket in batch:
                _perform(ticket, self._db, self._path)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            reason, now = error, time.monotonic()
            patient = [one for one in batch if is_busy(error) and now - one.asked_at < self._lock_wait_s]
            _fail([one for one in batch if one not in patient], lambda: storage_error(reason, self._path))
            return patient
        _tell(batch)
        return []

    def _is_in_place(self) -> bool:
        """SQLite would go on writing to a file that was deleted, and nobody would ever see it again."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _abandon(self, waiting: list[_Ticket]) -> None:
        with self._has_work:
            self._is_closed = True
            left = [*waiting, *self._queue]
            self._queue.clear()
            self._has_room.notify_all()
        _fail(left, self._closed_error)

    def _closed_error(self) -> StorageError:
        return StorageError(f"the ledger {self._path} is closed", why="its team or program has ended")

    def _moved_error(self) -> StorageError:
        return StorageError(
            f"the ledger {self._path} was moved or deleted while it was in use",
            why="what is written now would be lost",
            mend="put it back, or start the program again for a new one",
        )


def _perform(ticket: _Ticket, db: sqlite3.Connection, path: Path) -> None:
    """Errors of one work stay with it; errors of the file or the disk end the whole transaction."""
    ticket.error = None
    try:
        ticket.value = ticket.work(db)
    except ShoalError as error:
        ticket.error = error
    except (
        sqlite3.IntegrityError,
        sqlite3.ProgrammingError,
        sqlite3.InterfaceError,
        sqlite3.DataError,
    ) as error:
        ticket.error = storage_error(error, path)


def _fail(tickets: Sequence[_Ticket], reason: Callable[[], StorageError]) -> None:
    """An error of its own for each: one instance raised in many tasks would mix up their tracebacks."""
    for ticket in tickets:
        ticket.error = reason()
    _tell(tickets)


def _tell(tickets: Sequence[_Ticket]) -> None:
    """One wake-up an event loop, not one a row."""
    for loop in {ticket.loop for ticket in tickets}:
        mine = [ticket for ticket in tickets if ticket.loop is loop]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, mine)


def _settle(tickets: Sequence[_Ticket]) -> None:
    for ticket in tickets:
        if ticket.done.done():
            continue  # cancelled while waiting
        if ticket.error is not None:
            ticket.done.set_exception(ticket.error)
        else:
            ticket.done.set_result(ticket.value)
