"""Answers kept on disk, by the exact request they answer: what `CachedModel` looks into.

A convenience, not a record: what cannot be read is forgotten, what cannot be written is not kept, each with a
warning, and no request ever fails because of it. A file that is damaged is made anew.
"""

import asyncio
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

from pydantic import TypeAdapter, ValidationError

from shoal.core.chat import ChatDelta, ChatResponse
from shoal.core.wal import enter_wal

__all__ = ["AnswerStore", "StoreSize", "StoredAnswer", "clear_answers", "measure_answers"]

T = TypeVar("T")

BUSY_S = 2.0
"""How long another process's write is waited for; then the answer is not kept."""
ROOM_AFTER = 0.9
"""Share of the size limit that is left when something had to go, so that it need not go one by one."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, made_at REAL NOT NULL, used_at REAL NOT NULL, bytes INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_used_at ON answers(used_at, bytes);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """A stream as it was: replayed, it gives the same events."""

    deltas: tuple[ChatDelta, ...]
    response: ChatResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSize:
    answers: int
    bytes: int


@final
class AnswerStore:
    """One file, for any number of tasks and processes. Nothing is opened before its first use."""

    def __init__(
        self, path: Path, *, max_bytes: int, max_age_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        """`max_bytes`: of the answers together; the least recently used go first."""
        self.path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    async def get(self, key: str) -> StoredAnswer | None:
        """The answer, unless there is none or it is too old."""
        return await asyncio.to_thread(self._safely, lambda db: self._get(db, key))

    async def put(self, key: str, answer: StoredAnswer) -> None:
        """Keep it, if there is room for it."""
        body = _ANSWER.dump_json(answer)
        if len(body) <= self._max_bytes:
            await asyncio.to_thread(self._safely, lambda db: self._put(db, key, body))

    async def aclose(self) -> None:
        """Idempotent; a later use opens it again."""
        with self._lock:
            db, self._db = self._db, None
        if db is not None:
            db.close()

    def _get(self, db: sqlite3.Connection, key: str) -> StoredAnswer | None:
        now = self._clock()
        db.execute("DELETE FROM answers WHERE made_at < ?", (now - self._max_age_s,))
        found = db.execute(
            "UPDATE answers SET used_at = ? WHERE key = ? RETURNING body", (now, key)
        ).fetchone()
        if found is None:
            return None
        try:
            return _ANSWER.validate_json(found[0])
        except ValidationError:  # of another version
            db.execute("DELETE FROM answers WHERE key = ?", (key,))
            return None

    def _put(self, db: sqlite3.Connection, key: str, body: bytes) -> None:
        now = self._clock()
        db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", (key, now, now, len(body), body))
        (total,) = db.execute("SELECT sum(bytes) FROM answers").fetchone()
        if total <= self._max_bytes:
            return
        for old, size in db.execute("SELECT key, bytes FROM answers ORDER BY used_at, key").fetchall():
            if total <= ROOM_AFTER * self._max_bytes or old == key:
                break
            db.execute("DELETE FROM answers WHERE key = ?", (old,))
            total -= size

    def _safely(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        with self._lock:
            try:
                return self._in_transaction(work)
            except sqlite3.DatabaseError as error:
                is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
                reason = str(error)
            except OSError as error:
                is_damaged, reason = False, str(error)
            if not is_damaged:
                warnings.warn(f"the answer cache {self.path} is not used: {reason}", stacklevel=1)
                return None
            warnings.warn(
                f"the answer cache {self.path} was damaged ({reason}) and is made anew", stacklevel=1
            )
            self._forget()
            return None

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            self._db = _connect(self.path)
        with self._db as db:
            return work(db)

    def _forget(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        clear_answers(self.path)


DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""The last one: it is a database, but not with our table."""


def measure_answers(path: Path) -> StoreSize:
    """What the file holds; nothing where there is none, or one that cannot be read."""
    if not path.is_file():
        return StoreSize(answers=0, bytes=0)
    size = sum(file.stat().st_size for file in _files(path) if file.is_file())
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_S)
        try:
            (count,) = db.execute("SELECT count(*) FROM answers").fetchone()
        finally:
            db.close()
    except sqlite3.Error:
        count = 0
    return StoreSize(answers=count, bytes=size)


def clear_answers(path: Path) -> None:
    """Delete the file. Programs that use it at the moment make a new one when they start again."""
    for file in _files(path):
        file.unlink(missing_ok=True)


def _files(path: Path) -> tuple[Path, ...]:
    return (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # it holds what models said of people's texts: for its owner only
    db = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    try:
        _ = enter_wal(db, wait_s=BUSY_S)
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


_ANSWER: TypeAdapter[StoredAnswer] = TypeAdapter(StoredAnswer)
