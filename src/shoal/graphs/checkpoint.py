"""Where runs are checkpointed: SQLite beside the ledger.

WAL with synchronous=NORMAL: a commit survives the death of the process (SIGKILL included), though not
that of the machine's power; a step then costs about 1 ms instead of the 4 of a full sync.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from shoal.core.errors import StorageDamaged, StorageError, StorageLocked
from shoal.core.wal import enter_wal

__all__ = ["Checkpoints", "open_checkpoints"]

BUSY_TIMEOUT_S = 15.0
"""How long another process's write lock is waited out."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """An open checkpoint file."""

    path: Path
    saver: AsyncSqliteSaver

    @contextmanager
    def errors(self) -> Generator[None]:
        """Errors of SQLite inside, LangGraph's own writes included, in Shoal's words."""
        with _storage_errors(self.path):
            yield


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncGenerator[Checkpoints]:
    """Checkpoints in the file `path`, closed on the way out.

    State is plain JSON values, so the serialiser is allowed no class at all.

    Raises:
        StorageError: the file or its folder cannot be written.
        StorageDamaged: the file is no database.
        StorageLocked: another process holds its lock.
    """
    with _storage_errors(path):
        # aiosqlite 0.22 leaves a thread behind when it cannot connect, so that is found out before.
        await asyncio.to_thread(_prepare, path)
        connection = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        with _storage_errors(path):
            await connection.execute("PRAGMA synchronous=NORMAL")
            saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
            await saver.setup()
        yield Checkpoints(path, saver)
    finally:
        await connection.close()


def _prepare(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as db:
        _ = enter_wal(db, wait_s=BUSY_TIMEOUT_S)


@contextmanager
def _storage_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _storage_error(error, path) from error
    except OSError as error:
        raise StorageError(f"checkpoints cannot be kept in {path}", why=str(error), mend=MEND) from error


MEND = "set data_dir in shoal.toml, or SHOAL_DATA_DIR, to a folder that can be written"


def _storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    what, why = f"checkpoints cannot be kept in {path}", str(error)
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageLocked(what, why=why, mend=f"find who holds its lock: fuser {path}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageDamaged(what, why=why, mend=f"keep it aside: mv {path} {path}.damaged")
        case sqlite3.SQLITE_FULL:
            return StorageError(what, why=why, mend=f"free some space: df -h {path.parent}")
        case _:
            return StorageError(what, why=why, mend=MEND)
