"""Opening: new files, older and newer ones, and files of somebody else."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from shoal.core.errors import StorageDamaged, StorageError
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_schema import MIGRATIONS, connect
from shoal.tracing.record import RunRow


async def test_an_older_file_is_taken_forward_with_its_rows(path: Path) -> None:
    ledger = Ledger.open(path)
    await ledger.begin_run(RunRow(id="r", team="t", input="", started_at=0.0))
    await ledger.aclose()
    next_version = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN note TEXT DEFAULT 'none'",))

    db = connect(path, create=False, migrations=next_version)

    assert db.execute("SELECT id, note FROM runs").fetchall() == [("r", "none")]
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    db.close()


def test_a_newer_file_is_left_alone(path: Path) -> None:
    connect(path, create=True, migrations=(*MIGRATIONS, ("CREATE TABLE more (id TEXT)",))).close()
    before = path.read_bytes()

    with pytest.raises(StorageDamaged, match="written by a newer Shoal") as failure:
        Ledger.open(path)

    newest = len(MIGRATIONS)
    assert failure.value.why == f"it has schema version {newest + 1}; this one reads up to {newest}"
    assert failure.value.mend == "pip install --upgrade shoal"
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_old_file(path: Path) -> None:
    connect(path, create=True).close()

    with pytest.raises(StorageError):
        connect(path, create=False, migrations=(*MIGRATIONS, ("CREATE TABLE more (id)", "not SQL")))

    db = connect(path, create=False)
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    db.close()


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE runs (id)")
    db.commit()
    db.close()
    before = path.read_bytes()

    with pytest.raises(StorageDamaged, match="database of another program"):
        Ledger.open(path)

    assert path.read_bytes() == before


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 1000)

    with pytest.raises(StorageDamaged, match="damaged or not a ledger") as failure:
        Ledger.open(path)

    assert "mv " in failure.value.mend
    assert path.read_text().startswith("buy milk")


def test_many_open_a_new_ledger_at_once(path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        connections = list(pool.map(partial(connect, create=True), [path] * 16))

    for db in connections:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        db.close()


def test_it_is_written_ahead_and_checks_references(path: Path) -> None:
    db = connect(path, create=True)

    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (1,)
    assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
    db.close()
