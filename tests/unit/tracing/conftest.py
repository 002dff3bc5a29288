"""A ledger of its own for each test, and rows to put into it."""

import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from shoal.tracing.ledger import Ledger
from shoal.tracing.record import RunRow, StepRow, new_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncGenerator[Ledger]:
    ledger = Ledger.open(path)
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def run(ledger: Ledger) -> RunRow:
    """A run that was admitted."""
    row = RunRow(id=new_id(), team="desk", input="where is my order?", started_at=time.time())
    await ledger.begin_run(row)
    return row


@pytest.fixture
async def step(ledger: Ledger, run: RunRow) -> StepRow:
    """A step that was begun."""
    row = StepRow(id=new_id(), run_id=run.id, node="agent", agent="order-reader", started_at=time.time())
    await ledger.begin_step(row)
    return row
