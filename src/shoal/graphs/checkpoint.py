"""Where runs are checkpointed: SQLite beside the ledger.

WAL with synchronous=NORMAL: a commit survives the death of the process (SIGKILL included), though not
that of the machine's power; a step then costs about 1 ms instead of the 4 of a full sync.
"""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from shoal.core.errors import StorageError

__all__ = ["open_checkpoints"]

BUSY_TIMEOUT_S = 15.0
"""How long another process's write lock is waited out."""


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncGenerator[AsyncSqliteSaver]:
    """A checkpointer on `path`, closed on the way out.

    State is plain JSON values, so the serialiser is allowed no class at all.

    Raises:
        StorageError: the file or its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"checkpoints cannot be kept in {path}",
            why=str(error),
            mend="set data_dir in shoal.toml, or SHOAL_DATA_DIR, to a folder that can be written",
        ) from error
    try:
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=NORMAL")
        saver = AsyncSqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        await saver.setup()
        yield saver
    finally:
        await connection.close()
