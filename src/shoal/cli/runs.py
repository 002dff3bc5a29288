"""`shoal runs`: what the ledger says of past runs."""

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.judgement import forgone
from shoal.cli.output import AsJson, console, print_json, seconds, status_style

if TYPE_CHECKING:
    from shoal.tracing.ledger_read import LedgerReader

__all__ = ["open_ledger", "runs"]

DAY_S = 86_400


def runs(
    *, limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20, as_json: AsJson = False
) -> None:
    """List past runs, newest first."""
    from rich.markup import escape
    from rich.table import Table

    ledger = open_ledger()
    rows = ledger.runs(limit=limit)
    if as_json:
        print_json(rows)
        return
    table = Table("run", "when", "status", "took", "request", box=None, pad_edge=False)
    for row in rows:
        when = dt.datetime.fromtimestamp(row.started_at).astimezone()
        took = seconds(row.ended_at - row.started_at) if row.ended_at else "-"
        status = f"[{status_style(row.status)}]{row.status}[/]" if status_style(row.status) else row.status
        request = " ".join(row.input.split())
        table.add_row(row.id[:8], f"{when:%Y-%m-%d %H:%M:%S}", status, took, escape(request[:60]))
    console().print(table)
    now = time.time()
    today = ledger.totals(since=now - now % DAY_S).overall
    if today.refused:
        text = f"today (UTC) {forgone(today.refused, today.benefit_forgone)}"
        console().print(text, style="yellow", soft_wrap=True)


def open_ledger() -> "LedgerReader":
    from shoal.core.errors import RunError
    from shoal.project import open_project
    from shoal.runtime import LEDGER
    from shoal.tracing.ledger_read import LedgerReader

    path = open_project().settings.data_path / LEDGER
    if not path.is_file():
        raise RunError(
            "nothing has run here yet", why=f"there is no ledger at {path}", mend='shoal run "..."'
        )
    return LedgerReader(path)
