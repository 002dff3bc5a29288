"""The ledger: what every run, step, model call and side effect was, took and cost. The truth for all three.

Not a log: a write returns when its row is committed, and raises when it could not be. What survives a crash
is said in `ledger_schema`.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, final

from shoal.core.errors import RunError
from shoal.tracing.effect import Claim, Effect, EffectRow, met_again
from shoal.tracing.ledger_read import LedgerReader
from shoal.tracing.ledger_row import CALLS, EFFECTS, ESCALATIONS, RUNS, STEPS, storable
from shoal.tracing.ledger_schema import LOCK_WAIT_S, connect
from shoal.tracing.ledger_writer import LedgerWriter
from shoal.tracing.record import CallRow, EscalationRow, RunRow, RunStatus, StepRow
from shoal.tracing.spending import SETTLE, Refusal, Spending, SpendingScope, read_spending

__all__ = ["Ledger"]

Allowance = Callable[[Mapping[SpendingScope, Spending]], Refusal | None]


@final
class Ledger(LedgerReader):
    """A ledger that can be written, by any number of tasks, event loops and processes at a time.

    Every `async` method returns once its row is committed. Cancelling one does not undo the row. Each raises
    `StorageLocked` when another process held the lock for 15 s, and `StorageError` when the disk is full or
    the file cannot be written.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        super().__init__(path)
        self._writer = LedgerWriter(db, path, lock_wait_s=lock_wait_s)

    @classmethod
    def open(cls, path: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> Self:
        """Open the file, making it and its folder if need be. Blocks for some milliseconds.

        Raises:
            StorageError: the file or its folder cannot be written.
            StorageLocked: another process kept the lock for `lock_wait_s`.
            StorageDamaged: not a ledger, or one of a newer Shoal.
        """
        return cls(path, connect(path, create=True, lock_wait_s=lock_wait_s), lock_wait_s=lock_wait_s)

    async def aclose(self) -> None:
        """Commit what was asked for and close the file. Idempotent."""
        await self._writer.aclose()

    async def begin_run(self, row: RunRow) -> None:
        """Admit a run. Only after this may a request be called accepted.

        Raises:
            StorageError: not written, e.g. because a run has this id already.
        """
        await self._insert(RUNS.insert, RUNS.values(row))

    async def mark_run(self, run_id: str, status: RunStatus) -> None:
        """Say that an accepted run began, or that an interrupted one goes on.

        Raises:
            RunError: there is no such run.
            StorageError: not written.
        """
        await self._update("UPDATE runs SET status = ? WHERE id = ?", (status, run_id), f"no run {run_id}")

    async def end_run(
        self,
        run_id: str,
        status: RunStatus,
        *,
        answer: str | None = None,
        error: BaseException | None = None,
        first_shown_s: float | None = None,
    ) -> None:
        """Close a run, with its answer or what ended it, and when its stream first showed something.

        Raises:
            RunError: there is no such run.
            StorageError: not written.
        """
        name, message = (type(error).__name__, str(error)) if error is not None else (None, None)
        await self._update(
            "UPDATE runs SET status = ?, ended_at = ?, answer = ?, error_class = ?, error = ?,"
            " first_shown_s = coalesce(?, first_shown_s) WHERE id = ?",
            (status, time.time(), storable(answer), name, storable(message), first_shown_s, run_id),
            f"no run {run_id}",
        )

    async def begin_step(self, row: StepRow) -> None:
        """Write a step before its calls, which refer to it.

        Raises:
            StorageError: not written, e.g. because there is no such run.
        """
        await self._insert(STEPS.insert, STEPS.values(row))

    async def end_step(self, row: StepRow) -> None:
        """Write the step again, now with what came of it: `replace(row, ended_at=..., action=..., ...)`.

        Raises:
            RunError: the step was not begun.
            StorageError: not written.
        """
        await self._update(STEPS.update, STEPS.changes(row), f"no step {row.id}")

    async def add_call(self, row: CallRow) -> None:
        """Write a call that has ended, well or not.

        Raises:
            StorageError: not written, e.g. because its run or step was not begun.
        """
        await self._insert(CALLS.insert, CALLS.values(row))

    async def reserve_escalation(self, row: EscalationRow, allowance: Allowance) -> Refusal | None:
        """Grant a call of the large model, or say why not; atomic over all processes.

        A final refusal is written as well: it is what the budget cost.

        Raises:
            StorageError: not written, e.g. because there is no such run.
        """

        def reserve(db: sqlite3.Connection) -> Refusal | None:
            spent = read_spending(
                db, run_id=row.run_id, agent=row.agent, step_id=row.step_id, now=row.asked_at
            )
            refusal = allowance(spent)
            if refusal is None or refusal.final:
                kept = replace(row, refusal=refusal.reason if refusal else None)
                db.execute(ESCALATIONS.insert, ESCALATIONS.values(kept))
            return refusal

        return await self._writer.write(reserve)

    async def settle_escalation(self, row_id: str) -> None:
        """Say that a granted call has ended: what it took is read from the calls of its step.

        Raises:
            RunError: it was not granted, or is settled.
            StorageError: not written.
        """

        def settle(db: sqlite3.Connection) -> None:
            if db.execute(SETTLE, {"id": row_id, "now": time.time()}).rowcount == 0:
                raise RunError(f"no open escalation {row_id} in the ledger", why=f"looked in {self.path}")

        await self._writer.write(settle)

    async def claim_effect(self, effect: Effect) -> Claim:
        """Commit the intent to act, or learn what became of it before. Atomic: of many claims one is first.

        Raises:
            RunError: another tool, or another kind of effect, stands at this place of the run.
            StorageError: not written, e.g. because there is no such run.
        """
        row = EffectRow(
            key=effect.key,
            run_id=effect.run_id,
            node=effect.node,
            ordinal=effect.ordinal,
            tool=effect.tool,
            kind=effect.kind,
            claimed_at=time.time(),
        )
        values = EFFECTS.values(row)

        def claim(db: sqlite3.Connection) -> Claim:
            if db.execute(f"{EFFECTS.insert} ON CONFLICT(key) DO NOTHING", values).rowcount == 1:
                return Claim(key=row.key, action="do")
            found = db.execute(f"{EFFECTS.select} WHERE key = ?", (row.key,)).fetchone()
            return met_again(EFFECTS.parse(found), effect)

        return await self._writer.write(claim)

    async def finish_effect(self, key: str, result: str) -> str:
        """Commit what the effect gave (JSON), and return the result that counts: the first one committed.

        Raises:
            RunError: the effect was not claimed.
            StorageError: not written.
        """

        def finish(db: sqlite3.Connection) -> str:
            db.execute(
                "UPDATE effects SET done_at = ?, result = ? WHERE key = ? AND done_at IS NULL",
                (time.time(), storable(result), key),
            )
            found = db.execute("SELECT result FROM effects WHERE key = ?", (key,)).fetchone()
            if found is None:
                raise RunError(f"no effect {key} in the ledger", why="it was never claimed")
            return str(found[0])

        return await self._writer.write(finish)

    async def withdraw_effect(self, key: str) -> None:
        """Forget an intent that is known not to have happened, so that it can be claimed again.

        Raises:
            RunError: the effect was not claimed, or is done.
            StorageError: not written.
        """
        await self._update(
            "DELETE FROM effects WHERE key = ? AND done_at IS NULL", (key,), f"no unfinished effect {key}"
        )

    async def _insert(self, sql: str, values: Sequence[object]) -> None:
        def insert(db: sqlite3.Connection) -> None:
            db.execute(sql, values)

        await self._writer.write(insert)

    async def _update(self, sql: str, values: Sequence[object], missing: str) -> None:
        def update(db: sqlite3.Connection) -> None:
            if db.execute(sql, values).rowcount == 0:
                raise RunError(f"{missing} in the ledger", why=f"looked in {self.path}")

        await self._writer.write(update)
