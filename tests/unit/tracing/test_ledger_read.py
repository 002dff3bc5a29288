from dataclasses import replace
from pathlib import Path

import pytest

from shoal.core.errors import RunError, StorageDamaged, StorageError
from shoal.tracing.ledger import Ledger
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_schema import connect
from shoal.tracing.record import RunRow


def run(name: str, started_at: float = 0.0) -> RunRow:
    return RunRow(id=name, team="t", input="", started_at=started_at)


async def test_runs_come_newest_first_and_can_be_chosen(ledger: Ledger) -> None:
    await ledger.begin_run(replace(run("old", 1.0), thread_id="a"))
    await ledger.begin_run(replace(run("new", 3.0), status="running"))
    await ledger.begin_run(replace(run("middle", 2.0), thread_id="a"))

    assert [row.id for row in ledger.runs()] == ["new", "middle", "old"]
    assert [row.id for row in ledger.runs(limit=1)] == ["new"]
    assert [row.id for row in ledger.runs(thread_id="a")] == ["middle", "old"]
    assert [row.id for row in ledger.runs(status="running")] == ["new"]
    assert [row.id for row in ledger.runs(since=2.0)] == ["new", "middle"]


async def test_the_beginning_of_an_id_names_a_run(ledger: Ledger) -> None:
    for name in ("abc1", "abc2", "abd", "b"):
        await ledger.begin_run(run(name))

    assert ledger.run("abd").run.id == "abd"
    assert ledger.run("abc1").run.id == "abc1"
    assert ledger.run("b").run.id == "b"
    with pytest.raises(RunError, match='more than one run begins with "abc"') as many:
        ledger.run("abc")
    assert "abc1" in many.value.why
    assert "abc2" in many.value.why
    for missing in ("x", "abc11", "ABD", "%", ""):
        with pytest.raises(RunError, match="no run begins with") as none:
            ledger.run(missing)
        assert none.value.mend == "shoal runs"


async def test_a_whole_id_wins_over_longer_ones(ledger: Ledger) -> None:
    await ledger.begin_run(run("abc"))
    await ledger.begin_run(run("abcd"))

    assert ledger.run("abc").run.id == "abc"


def test_without_a_ledger_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"

    with pytest.raises(StorageError, match="there is no ledger") as failure:
        LedgerReader(path).runs()

    assert failure.value.mend == 'shoal run "..."'
    assert not path.exists()


async def test_a_reader_of_its_own_sees_what_is_committed(ledger: Ledger, path: Path) -> None:
    reader = LedgerReader(path)
    assert reader.runs() == ()

    await ledger.begin_run(run("r"))

    assert [row.id for row in reader.runs()] == ["r"]


async def test_a_row_that_somebody_changed_is_not_passed_on(ledger: Ledger, path: Path) -> None:
    await ledger.begin_run(run("r"))
    db = connect(path, create=False)
    db.execute("UPDATE runs SET status = 'splendid'")
    db.close()

    with pytest.raises(StorageDamaged, match="row 'r' of runs"):
        ledger.run("r")
