import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from shoal.core.decision import Verdict
from shoal.core.errors import StorageDamaged, StorageError, StorageLocked
from shoal.graphs import Checkpoints, open_checkpoints


def serde_of(checkpoints: Checkpoints) -> Any:
    saver: Any = checkpoints.saver
    return saver.serde


async def test_no_class_comes_out_of_a_checkpoint(tmp_path: Path) -> None:
    permissive: Any = cast("Any", JsonPlusSerializer)(allowed_msgpack_modules=True)
    foreign = permissive.dumps_typed({"verdict": Verdict(action="accept", reason="")})
    async with open_checkpoints(tmp_path / "checkpoints.db") as checkpoints:
        read = serde_of(checkpoints).loads_typed(foreign)
    assert type(read["verdict"]) is dict


async def test_a_pickle_in_a_checkpoint_is_refused(tmp_path: Path) -> None:
    async with open_checkpoints(tmp_path / "checkpoints.db") as checkpoints:
        with pytest.raises(NotImplementedError):
            serde_of(checkpoints).loads_typed(("pickle", b"\x80\x04N."))


async def test_two_that_make_the_file_at_once_both_have_it(tmp_path: Path) -> None:
    """Without waiting by itself one in four was told that the database is locked."""

    async def opened(path: Path) -> None:
        async with open_checkpoints(path):
            pass

    def work(at: int) -> None:
        together.wait()
        asyncio.run(opened(tmp_path / f"{at}.db"))

    together = threading.Barrier(2)
    for at in range(30):
        await asyncio.gather(*(asyncio.to_thread(work, at) for _ in range(2)))


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.db"
    path.write_bytes(b"this is not a database, however long one reads in it" * 100)
    with pytest.raises(StorageDamaged, match=str(path)) as caught:
        async with open_checkpoints(path):
            pass
    assert f"mv {path}" in caught.value.mend


@pytest.mark.parametrize("place", ["a file/checkpoints.db", "folder"])
async def test_a_place_that_cannot_be_written_is_named_with_the_setting(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError) as caught:
        async with open_checkpoints(tmp_path / place):
            pass
    assert "data_dir" in caught.value.mend


@pytest.mark.parametrize(
    ("code", "kind", "mend"),
    [
        (sqlite3.SQLITE_BUSY, StorageLocked, "fuser"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StorageLocked, "fuser"),
        (sqlite3.SQLITE_FULL, StorageError, "df -h"),
        (sqlite3.SQLITE_CORRUPT, StorageDamaged, "mv "),
        (sqlite3.SQLITE_IOERR_WRITE, StorageError, "data_dir"),
    ],
)
async def test_errors_of_sqlite_are_told_apart_by_their_code(
    tmp_path: Path, code: int, kind: type[StorageError], mend: str
) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    async with open_checkpoints(tmp_path / "checkpoints.db") as checkpoints:
        with pytest.raises(StorageError) as caught, checkpoints.errors():
            raise error
    assert type(caught.value) is kind
    assert mend in caught.value.mend
    assert caught.value.why == "as SQLite says it"
