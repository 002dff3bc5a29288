"""What the ledger does when the disk or another process does not cooperate."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoal.core.errors import StorageDamaged, StorageError, StorageLocked
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_writer import LOCK_SLICE_MS
from shoal.tracing.record import RunRow, StepRow, new_id

NOBODY = 65534


def run(name: str | None = None) -> RunRow:
    return RunRow(id=name or new_id(), team="t", input="x" * 200, started_at=0.0)


def child(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)


BURST = """
import asyncio, sys
from pathlib import Path
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_writer import LOCK_SLICE_MS
from shoal.tracing.record import RunRow, new_id

async def write(ledger):
    while True:
        row = RunRow(id=new_id(), team="t", input="x" * 200, started_at=0.0)
        await ledger.begin_run(row)
        print(row.id, flush=True)

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(ledger) for _ in range(50)))

asyncio.run(main())
"""


def test_every_acknowledged_row_survives_sigkill(path: Path) -> None:
    with child(BURST, path) as process:
        assert process.stdout is not None
        acknowledged = [next(process.stdout).strip() for _ in range(2000)]
        process.send_signal(signal.SIGKILL)
        # What the pipe still held was acknowledged too, except for a line cut in the middle.
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]

    db = sqlite3.connect(path)
    stored = {row[0] for row in db.execute("SELECT id FROM runs")}
    assert set(acknowledged) <= stored
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


WRITE_500 = """
import asyncio, sys
from pathlib import Path
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_writer import LOCK_SLICE_MS
from shoal.tracing.record import RunRow, new_id

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    for _ in range(50):
        await asyncio.gather(
            *(ledger.begin_run(RunRow(id=new_id(), team="t", input="", started_at=0.0)) for _ in range(10))
        )
    await ledger.aclose()
    print("done")

asyncio.run(main())
"""


async def test_processes_share_a_ledger(path: Path) -> None:
    processes = [child(WRITE_500, path) for _ in range(2)]
    ledger = Ledger.open(path)
    for _ in range(200):
        await ledger.begin_run(run())
    for process in processes:
        output, _ = await asyncio.to_thread(process.communicate)
        assert output == "done\n"

    assert len(ledger.runs(limit=5000)) == 1200
    await ledger.aclose()


@contextmanager
def lock_held(path: Path) -> Generator[sqlite3.Connection]:
    """Another connection in the middle of a write."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other
    finally:
        other.close()


async def test_a_lock_is_waited_out_while_the_loop_goes_on(ledger: Ledger, path: Path) -> None:
    with lock_held(path) as other:
        writes = [asyncio.create_task(ledger.begin_run(run())) for _ in range(20)]
        for _ in range(1000):  # the loop is free to turn, and reading is possible
            await asyncio.sleep(0)
        assert not any(write.done() for write in writes)
        assert ledger.runs() == ()
        await asyncio.sleep(2 * LOCK_SLICE_MS / 1000)  # longer than SQLite itself waits
        other.execute("ROLLBACK")
        await asyncio.gather(*writes)

    assert len(ledger.runs()) == 20


async def test_a_lock_that_stays_is_an_error(path: Path) -> None:
    ledger = Ledger.open(path, lock_wait_s=0.3)
    with lock_held(path):
        outcomes = await asyncio.gather(*(ledger.begin_run(run()) for _ in range(20)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StorageLocked}
        assert all("fuser" in str(outcome) for outcome in outcomes)

    await ledger.begin_run(run())
    assert len(ledger.runs()) == 1
    await ledger.aclose()


async def test_opening_waits_for_a_lock_too(path: Path) -> None:
    path.parent.mkdir()
    with lock_held(path), pytest.raises(StorageLocked):
        Ledger.open(path, lock_wait_s=0.2)


FILL_THE_DISK = """
import asyncio, resource, sys
from pathlib import Path
from shoal.core.errors import StorageError
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_writer import LOCK_SLICE_MS
from shoal.tracing.record import RunRow

async def main():
    ledger = Ledger.open(Path(sys.argv[1]))
    written = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    try:
        while True:
            await ledger.begin_run(RunRow(id=str(written), team="t", input="x" * 10_000, started_at=0.0))
            written += 1
    except StorageError as error:
        print(written, type(error).__name__, bool(error.mend))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await ledger.begin_run(RunRow(id="after", team="t", input="", started_at=0.0))
    await ledger.aclose()

asyncio.run(main())
"""


def test_a_full_disk_is_an_error_and_afterwards_it_goes_on(path: Path) -> None:
    output, _ = child(FILL_THE_DISK, path).communicate()

    written, error, has_mend = output.split()
    assert (error, has_mend) == ("StorageError", "True")
    assert int(written) > 5
    db = sqlite3.connect(path)
    assert {row[0] for row in db.execute("SELECT id FROM runs")} == {
        "after",
        *(str(number) for number in range(int(written))),
    }
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@contextmanager
def without_rights() -> Generator[None]:
    """As somebody who is not root, for whom rights mean nothing."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_read_only_folder_is_an_error_with_a_mend() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with without_rights(), pytest.raises(StorageError, match="cannot write the ledger") as failure:
            Ledger.open(folder / "ledger.db")
        assert failure.value.mend == f"chmod u+rwx {folder}"
        folder.chmod(0o755)


def test_a_read_only_file_is_an_error_with_a_mend() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "ledger.db"
        asyncio.run(Ledger.open(path).aclose())
        path.chmod(0o444)
        folder.chmod(0o555)
        with without_rights(), pytest.raises(StorageError) as failure:
            Ledger.open(path)
        assert "chmod" in failure.value.mend
        folder.chmod(0o755)


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="cannot write the ledger"):
        Ledger.open(tmp_path / "file" / "ledger.db")


async def test_a_deleted_file_is_noticed(ledger: Ledger, path: Path) -> None:
    await ledger.begin_run(run("r"))
    await asyncio.to_thread(path.unlink)

    with pytest.raises(StorageError, match="moved or deleted"):
        await ledger.begin_step(StepRow(id="s", run_id="r", node="agent", started_at=0.0))


def test_a_damaged_file_is_named(path: Path) -> None:
    async def fill() -> None:
        ledger = Ledger.open(path)
        await asyncio.gather(*(ledger.begin_run(run()) for _ in range(300)))
        await ledger.aclose()

    asyncio.run(fill())
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)

    with pytest.raises(StorageDamaged, match="damaged or not a ledger"):
        LedgerReader(path).runs(limit=1000)
