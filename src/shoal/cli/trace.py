"""`shoal trace`: one run as a waterfall, what each call waited and worked, and what tools did."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.judgement import show_escalations, show_judgement
from shoal.cli.output import AsJson, console, print_json, seconds, tokens, usd
from shoal.cli.runs import open_ledger

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from shoal.tracing.effect import EffectRow
    from shoal.tracing.record import CallRow, RunRecord
    from shoal.tracing.timeline import TimelineRow

__all__ = ["trace"]

SEGMENT_STYLES = {"queue": "yellow", "load": "magenta", "prefill": "cyan", "decode": "green", "other": "dim"}
BAR_WIDTH = 40


def trace(
    run: Annotated[str, typer.Argument(help="Id of a run, or its first characters.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one run: waterfall, decisions, how long every call waited and worked, effects of tools."""
    record = open_ledger().run(run)
    if as_json:
        print_json(record)
        return
    out = console()
    out.print(f"run {record.run.id}  {record.run.status}", style="bold")
    out.print(" ".join(record.run.input.split()), style="dim", markup=False, soft_wrap=True)
    if record.run.first_shown_s is not None:
        out.print(f"first token shown after {seconds(record.run.first_shown_s)}")
    _print_waterfall(out, record)
    for step in record.steps:
        if step.reason:
            show_judgement(out, step)
    show_escalations(out, record)
    for call in record.calls:
        _print_call(out, call)
    if record.calls:
        out.print()
        out.print(_times(record.calls))
    for effect in record.effects:
        _print_effect(out, effect)


def _print_waterfall(out: "Console", record: "RunRecord") -> None:
    from shoal.tracing.timeline import build_timeline

    rows = build_timeline(record)
    scale = BAR_WIDTH / max(*(row.start_s + (row.seconds or 0.0) for row in rows), 1e-9)
    for row in rows:
        out.print(_draw(row, scale), soft_wrap=True)
    legend = "  ".join(f"[{style}]█[/] {name}" for name, style in SEGMENT_STYLES.items())
    out.print(f"\n{legend}")


def _print_call(out: "Console", call: "CallRow") -> None:
    cost = f"{usd(call.cost_usd)} ({call.cost_method})"
    if call.from_cache:
        cost = f"from the answer cache, which saved {usd(call.saved_usd)}"
    asked = f"{call.adapter} on {call.model_name}" if call.adapter else call.model_name
    out.print(
        f"call {call.agent or '-'} · {asked} · {call.purpose} {call.attempt} · {call.status}"
        f" · {tokens(call.input_tokens, call.output_tokens)} tokens · {cost}",
        soft_wrap=True,
    )
    for term in call.cost_terms:
        what = f"  {term.name}: {term.formula} = {usd(term.amount_usd)}"
        out.print(what, style="dim", markup=False, soft_wrap=True)


def _times(calls: "Sequence[CallRow]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    columns = ("call", "queue", "swap", "prefill", "cached", "decode", "first token")
    table = Table(*columns, box=None, pad_edge=False)
    for call in calls:
        cells = (
            f"{call.agent or '-'} {call.purpose} {call.attempt}",
            seconds(call.queue_s),
            seconds(call.load_s),
            seconds(call.prefill_s),
            "?" if call.cached_tokens is None else f"{call.cached_tokens} tokens",
            seconds(call.decode_s),
            seconds(call.first_token_s),
        )
        table.add_row(*(Text(cell, no_wrap=True) for cell in cells))
    return table


def _print_effect(out: "Console", effect: "EffectRow") -> None:
    when = dt.datetime.fromtimestamp(effect.claimed_at).astimezone()
    if effect.done_at is None:
        became = "begun, and nobody can tell whether it was done"
    else:
        became = f"done after {seconds(effect.done_at - effect.claimed_at)}: {effect.result}"
    what = f"effect {effect.tool} ({effect.kind}) of {effect.node} · {when:%H:%M:%S} · {became}"
    out.print(what, markup=False, soft_wrap=True)


def _draw(row: "TimelineRow", scale: float) -> str:
    drawn = " " * round(row.start_s * scale)
    for kind, length_s in ((segment.kind, segment.seconds) for segment in row.segments):
        width = max(1, round(length_s * scale)) if length_s > 0 else 0
        drawn += f"[{SEGMENT_STYLES[kind]}]{'█' * width}[/]"
    if not row.segments:
        drawn += f"[dim]{'─' * max(1, round((row.seconds or 0.0) * scale))}[/]"
    name = f"{'  ' * row.depth}{row.name}"
    return f"{name[:38]:<38} {seconds(row.seconds):>9} {drawn}"
