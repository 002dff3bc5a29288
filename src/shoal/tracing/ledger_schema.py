"""The ledger's file: how it is opened, its tables, its versions, and what SQLite's errors mean.

What survives: WAL with synchronous=NORMAL keeps every committed row through SIGKILL and a crash of this
program. A power cut or a kernel crash may take the last commits (since the last checkpoint of the log at
worst), but leaves the file whole. The file must be on a local disk: WAL does not work over a network.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from shoal.core.errors import StorageDamaged, StorageError, StorageLocked
from shoal.core.wal import enter_wal

__all__ = ["LOCK_WAIT_S", "connect", "storage_error"]

LOCK_WAIT_S = 15.0
"""How long another process may hold the write lock before a write gives up."""

APPLICATION_ID = 0x53686F61
""" "Shoa", in the header of every ledger."""

Migrations = Sequence[Sequence[str]]
"""Groups of statements; group n takes a file from version n to n + 1. Published groups never change."""

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, team TEXT NOT NULL, input TEXT NOT NULL, status TEXT NOT NULL,
            started_at REAL NOT NULL, ended_at REAL, thread_id TEXT, parent_id TEXT REFERENCES runs(id),
            answer TEXT, error_class TEXT, error TEXT)""",
        "CREATE INDEX runs_started_at ON runs(started_at)",
        "CREATE INDEX runs_thread_id ON runs(thread_id) WHERE thread_id IS NOT NULL",
        """CREATE TABLE steps (
            id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs(id), node TEXT NOT NULL,
            started_at REAL NOT NULL, subtask_id TEXT, agent TEXT, input TEXT NOT NULL,
            decision TEXT, signals TEXT, action TEXT, reason TEXT NOT NULL, confidence REAL,
            calibrated INTEGER NOT NULL, threshold REAL, certificate TEXT, escalated INTEGER NOT NULL,
            ended_at REAL, latency_s REAL, output TEXT, error_class TEXT, error TEXT)""",
        "CREATE INDEX steps_run_id ON steps(run_id)",
        """CREATE TABLE calls (
            id TEXT PRIMARY KEY, engine TEXT NOT NULL, model TEXT NOT NULL, status TEXT NOT NULL,
            started_at REAL NOT NULL, latency_s REAL NOT NULL, run_id TEXT REFERENCES runs(id),
            step_id TEXT REFERENCES steps(id), agent TEXT, purpose TEXT NOT NULL, attempt INTEGER NOT NULL,
            digest TEXT, remote INTEGER NOT NULL, finish_reason TEXT, error_class TEXT, error TEXT,
            input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER,
            queue_s REAL, load_s REAL, prefill_s REAL, decode_s REAL, first_token_s REAL,
            energy_j REAL, energy_method TEXT NOT NULL,
            cost_usd REAL, cost_method TEXT NOT NULL, cost_terms TEXT NOT NULL)""",
        "CREATE INDEX calls_run_id ON calls(run_id)",
        "CREATE INDEX calls_started_at ON calls(started_at)",
        """CREATE TABLE effects (
            key TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs(id), node TEXT NOT NULL,
            ordinal INTEGER NOT NULL, tool TEXT NOT NULL, kind TEXT NOT NULL,
            claimed_at REAL NOT NULL, done_at REAL, result TEXT)""",
        "CREATE INDEX effects_run_id ON effects(run_id)",
    ),
    (
        "ALTER TABLE runs ADD COLUMN first_shown_s REAL",
        "ALTER TABLE calls ADD COLUMN from_cache INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN saved_usd REAL",
    ),
    (
        """CREATE TABLE escalations (
            id TEXT PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs(id), step_id TEXT REFERENCES steps(id),
            agent TEXT NOT NULL, model TEXT NOT NULL, asked_at REAL NOT NULL, expires_at REAL NOT NULL,
            refusal TEXT, benefit REAL, most_usd REAL, most_seconds REAL, most_joules REAL,
            settled_at REAL, usd REAL, seconds REAL, joules REAL)""",
        "CREATE INDEX escalations_run_id ON escalations(run_id)",
        "CREATE INDEX escalations_asked_at ON escalations(asked_at)",
        "CREATE INDEX steps_started_at ON steps(started_at)",
        "CREATE INDEX calls_step_id ON calls(step_id)",
        "ALTER TABLE steps ADD COLUMN benefit REAL",
        "ALTER TABLE steps ADD COLUMN alternatives TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE steps ADD COLUMN drafts TEXT NOT NULL DEFAULT '[]'",
    ),
    ("ALTER TABLE calls ADD COLUMN adapter TEXT",),
)


def connect(
    path: Path,
    *,
    create: bool,
    lock_wait_s: float = LOCK_WAIT_S,
    migrations: Migrations = MIGRATIONS,
) -> sqlite3.Connection:
    """Open a ledger in autocommit mode, usable from any one thread at a time, migrated to this version.

    Raises:
        StorageError: the file or its folder cannot be read or written, or the file does not exist.
        StorageLocked: another process kept the lock for `lock_wait_s`.
        StorageDamaged: not a ledger, or one written by a newer Shoal.
    """
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # it holds what people wrote: for its owner only
        elif not path.exists():
            raise StorageError(
                f"there is no ledger at {path}", why="nothing has been run yet", mend='shoal run "..."'
            )
    except OSError as error:
        raise StorageError(
            f"cannot write the ledger {path}",
            why=error.strerror or str(error),
            mend=f"chmod u+rwx {path.parent}",
        ) from error
    try:
        db = sqlite3.connect(path, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(db, path, lock_wait_s, migrations)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise storage_error(error, path) from error
    return db


def storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    """What an error of SQLite means for a person."""
    match _primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageLocked(
                f"the ledger {path} is locked",
                why="another process holds the write lock and does not let go",
                mend=f"find it with: fuser {path}",
            )
        case sqlite3.SQLITE_FULL:
            return StorageError(
                f"the ledger {path} cannot grow",
                why="the disk or a quota is full",
                mend=f"free some space: df -h {path.parent}",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return StorageError(
                f"the ledger {path} cannot be written",
                why=str(error),
                mend=f"chmod u+rwX {path.parent} {path}",
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageDamaged(
                f"{path} is damaged or not a ledger",
                why=str(error),
                mend=f"keep it aside and start a new one: mv {path} {path}.damaged",
            )
        case _:
            return StorageError(f"the ledger {path} failed", why=str(error), mend=f"df -h {path.parent}")


def _prepare(db: sqlite3.Connection, path: Path, lock_wait_s: float, migrations: Migrations) -> None:
    newest = len(migrations)
    version = _version(db, path, newest)  # before anything is written: it may be somebody else's file
    _enter_wal(db, path, lock_wait_s)
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA foreign_keys=ON")
    if version == newest:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: another process may have migrated the file in between.
        for group in migrations[_version(db, path, newest) :]:
            for statement in group:
                db.execute(statement)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={newest}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _enter_wal(db: sqlite3.Connection, path: Path, lock_wait_s: float) -> None:
    mode = enter_wal(db, wait_s=lock_wait_s)
    if mode != "wal":
        raise StorageError(
            f"the ledger {path} cannot use a write-ahead log",
            why=f"SQLite stays in mode {mode!r}, as it does on network file systems",
            mend="keep Shoal's data folder on a local disk",
        )


def _version(db: sqlite3.Connection, path: Path, newest: int) -> int:
    """Schema version of the file; 0 for an empty one."""
    version = int(str(_pragma(db, "user_version")))
    if version > newest:
        raise StorageDamaged(
            f"the ledger {path} was written by a newer Shoal",
            why=f"it has schema version {version}; this one reads up to {newest}",
            mend="pip install --upgrade shoal",
        )
    is_empty = _pragma(db, "schema_version") == 0
    if not is_empty and _pragma(db, "application_id") != APPLICATION_ID:
        raise StorageDamaged(
            f"{path} is a database of another program",
            why="its header does not carry Shoal's mark",
            mend=f"choose another folder, or move the file away: mv {path} {path}.other",
        )
    return version


def _pragma(db: sqlite3.Connection, name: str) -> object:
    with closing(db.execute(f"PRAGMA {name}")) as cursor:
        return cursor.fetchone()[0]


def _primary_code(error: sqlite3.Error) -> int | None:
    """None for errors of the Python module, which carry no code of SQLite's."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
