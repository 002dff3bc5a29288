"""`shoal runs` and `shoal trace`: what the ledger says, as a table and as a waterfall."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.output import AsJson, console, print_json, seconds, status_style, tokens, usd

if TYPE_CHECKING:
    from shoal.tracing.ledger_read import LedgerReader
    from shoal.tracing.timeline import TimelineRow

__all__ = ["open_ledger", "runs", "trace"]

SEGMENT_STYLES = {"queue": "yellow", "load": "magenta", "prefill": "cyan", "decode": "green", "other": "dim"}
BAR_WIDTH = 40


def runs(
    *, limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20, as_json: AsJson = False
) -> None:
    """List past runs, newest first."""
    from rich.markup import escape
    from rich.table import Table

    rows = open_ledger().runs(limit=limit)
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


def trace(
    run: Annotated[str, typer.Argument(help="Id of a run, or its first characters.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one run as a waterfall: queue, load, prefill and decode of every call."""
    from shoal.tracing.timeline import build_timeline

    record = open_ledger().run(run)
    if as_json:
        print_json(record)
        return
    out = console()
    out.print(f"run {record.run.id}  {record.run.status}", style="bold")
    out.print(" ".join(record.run.input.split()), style="dim", markup=False, soft_wrap=True)
    rows = build_timeline(record)
    scale = BAR_WIDTH / max(*(row.start_s + (row.seconds or 0.0) for row in rows), 1e-9)
    for row in rows:
        out.print(_draw(row, scale), soft_wrap=True)
    legend = "  ".join(f"[{style}]█[/] {name}" for name, style in SEGMENT_STYLES.items())
    out.print(f"\n{legend}")
    for step in record.steps:
        if step.reason:
            sure = "confidence unknown" if step.confidence is None else f"confidence {step.confidence:.2f}"
            named = "calibrated" if step.calibrated else "uncalibrated"
            out.print(f"{step.subtask_id or '-'} {step.agent or 'nobody'}: {step.action} · {sure}, {named}")
            out.print(f"  {step.reason}", style="dim", markup=False, soft_wrap=True)
    for call in record.calls:
        used = tokens(call.input_tokens, call.output_tokens)
        out.print(
            f"call {call.agent or '-'} · {call.model_name} · {call.purpose} {call.attempt} · {call.status}"
            f" · {used} tokens · {usd(call.cost_usd)} ({call.cost_method})",
            soft_wrap=True,
        )
        for term in call.cost_terms:
            out.print(
                f"  {term.name}: {term.formula} = {usd(term.amount_usd)}",
                style="dim",
                markup=False,
                soft_wrap=True,
            )


def _draw(row: "TimelineRow", scale: float) -> str:
    drawn = " " * round(row.start_s * scale)
    for kind, length_s in ((segment.kind, segment.seconds) for segment in row.segments):
        width = max(1, round(length_s * scale)) if length_s > 0 else 0
        drawn += f"[{SEGMENT_STYLES[kind]}]{'█' * width}[/]"
    if not row.segments:
        drawn += f"[dim]{'─' * max(1, round((row.seconds or 0.0) * scale))}[/]"
    name = f"{'  ' * row.depth}{row.name}"
    return f"{name[:38]:<38} {seconds(row.seconds):>9} {drawn}"


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
