"""Reading a ledger: runs, one run with all it left, totals. Writes nothing.

Every question opens a connection of its own, so that readers need no lock, no thread and no closing. They
see what is committed, and never hold up the writer. Calls block for some milliseconds: in an event loop use
`asyncio.to_thread(reader.runs)`.
"""

import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import RunError
from shoal.tracing.ledger_row import CALLS, EFFECTS, ESCALATIONS, RUNS, STEPS
from shoal.tracing.ledger_schema import connect, storage_error
from shoal.tracing.record import RunRecord, RunRow, RunStatus, StepRow
from shoal.tracing.requests import Asked, read_requests
from shoal.tracing.spending import Spending, SpendingScope, read_spending
from shoal.tracing.totals import Totals, read_totals

__all__ = ["LedgerReader"]


class LedgerReader:
    """A ledger that exists already."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def runs(
        self,
        *,
        limit: int = 20,
        status: RunStatus | None = None,
        thread_id: str | None = None,
        since: float | None = None,
    ) -> tuple[RunRow, ...]:
        """The latest runs, newest first.

        Raises:
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            rows = db.execute(
                f"{RUNS.select} WHERE status = coalesce(?, status) AND (? IS NULL OR thread_id = ?)"
                " AND started_at >= coalesce(?, started_at) ORDER BY started_at DESC, rowid DESC LIMIT ?",
                (status, thread_id, thread_id, since, limit),
            ).fetchall()
        return tuple(RUNS.parse(row) for row in rows)

    def run(self, id_prefix: str) -> RunRecord:
        """One run, named by its id or the beginning of it.

        Raises:
            RunError: no run, or more than one, begins so.
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            found = db.execute(
                f"{RUNS.select} WHERE id >= :prefix AND id < :prefix || char(0x10FFFF) ORDER BY id LIMIT 6",
                {"prefix": id_prefix},
            ).fetchall()
            if not found or not id_prefix:
                raise RunError(
                    f'no run begins with "{id_prefix}"', why=f"looked in {self.path}", mend="shoal runs"
                )
            if len(found) > 1 and found[0][0] != id_prefix:
                names = ", ".join(row[0][: len(id_prefix) + 4] for row in found)
                raise RunError(
                    f'more than one run begins with "{id_prefix}"', why=names, mend="give more of the id"
                )
            run = RUNS.parse(found[0])
            return RunRecord(
                run=run,
                steps=tuple(STEPS.parse(row) for row in _of_run(db, STEPS.select, run.id)),
                calls=tuple(CALLS.parse(row) for row in _of_run(db, CALLS.select, run.id)),
                escalations=tuple(
                    ESCALATIONS.parse(row)
                    for row in _of_run(db, ESCALATIONS.select, run.id, order="asked_at")
                ),
                effects=tuple(
                    EFFECTS.parse(row) for row in _of_run(db, EFFECTS.select, run.id, order="claimed_at")
                ),
            )

    def steps(self, *, agent: str, thread_id: str) -> tuple[StepRow, ...]:
        """Every step of the runs in which an agent worked or a person decided, and of those of a thread.

        In order of time.

        Raises:
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            rows = db.execute(
                f"{STEPS.select} WHERE run_id IN ("  # noqa: S608  our own names
                "SELECT run_id FROM steps WHERE agent = :agent OR node = 'consent'"
                " UNION SELECT id FROM runs WHERE thread_id = :thread_id) ORDER BY started_at, rowid",
                {"agent": agent, "thread_id": thread_id},
            ).fetchall()
        return tuple(STEPS.parse(row) for row in rows)

    def requests(self, *, since: float | None = None, but: str = "") -> tuple[Asked, ...]:
        """Every subtask once, in order of time, since some moment; without the runs of the team `but`.

        Raises:
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            return read_requests(db, since=since, but=but)

    def totals(self, *, run_ids: Sequence[str] | None = None, since: float | None = None) -> Totals:
        """Calls, tokens, cost, energy and latency per agent: of these runs, since this time, or of all.

        Raises:
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            return read_totals(db, run_ids=run_ids, since=since)

    def spending(self, *, run_id: str, agent: str) -> Mapping[SpendingScope, Spending]:
        """What a call of the large model for this agent in this run would be counted with now.

        Raises:
            StorageError: there is no ledger, or it cannot be read.
        """
        with self._connection() as db:
            return read_spending(db, run_id=run_id, agent=agent, step_id=None, now=time.time())

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        db = connect(self.path, create=False)
        try:
            db.execute("PRAGMA query_only=ON")
            db.execute("BEGIN")  # one snapshot for all the statements of a question
            yield db
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error
        finally:
            db.close()


def _of_run(db: sqlite3.Connection, select: str, run_id: str, *, order: str = "started_at") -> list[Any]:
    return db.execute(f"{select} WHERE run_id = ? ORDER BY {order}, rowid", (run_id,)).fetchall()
