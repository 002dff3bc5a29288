"""Turning an SQLite file to its write-ahead log, also when another process does so at the same moment."""

import sqlite3
import time

__all__ = ["enter_wal", "is_busy"]

RETRY_S = 0.01


def enter_wal(db: sqlite3.Connection, *, wait_s: float) -> str:
    """Returns the mode that the file has now: "wal", or another one where its disk cannot.

    Waits by itself: of processes that make a new file at once, SQLite turns one away at once, whatever the
    connection's timeout.

    Raises:
        sqlite3.Error: the file is locked for longer than `wait_s` seconds, or is no database.
    """
    give_up_at = time.monotonic() + wait_s
    while True:
        try:
            return str(db.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(RETRY_S)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds the lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
