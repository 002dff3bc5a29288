"""`shoal specialise`: train a specialist for an agent from rows, and let it go live if it passes its gate."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shoal.cli.figures import print_notes
from shoal.cli.output import AsJson, console, print_json, run_async

if TYPE_CHECKING:
    from shoal.specialise import Progress, SpecialiseReport, Step

__all__ = ["specialise"]

EVERY_S = 60.0
"""How often a log that is no terminal hears how far it is."""
TITLES = {
    "curate": "rows",
    "prune": "base",
    "tune": "tuning",
    "evaluate": "asking the new version",
    "compare": "asking what it would replace",
    "gate": "gate",
}


Data = Annotated[
    Path,
    typer.Option(
        help="JSONL[.gz] of {input, expected}; or {text, label, slots}, {text, fields}, {text, spans}."
    ),
]
HeldOut = Annotated[
    Path | None,
    typer.Option(help="Rows to evaluate on, never learnt from; without: a tenth of the data."),
]
Base = Annotated[str, typer.Option(help="Model with weights on this machine.")]
Budget = Annotated[float, typer.Option(min=0, help="Wall clock of the tuning; 0 = as long as it takes.")]
Seed = Annotated[int, typer.Option(help="Same rows and seed, same specialist.")]
Rank = Annotated[int | None, typer.Option(help="Of the adapter: its size and its wits.")]
Passes = Annotated[float | None, typer.Option(help="Over the rows, if the budget allows.")]
Rate = Annotated[float | None, typer.Option(help="At its highest.")]
Batch = Annotated[int | None, typer.Option(help="Rows a step.")]
Prune = Annotated[
    int, typer.Option(min=0, metavar="N", help="Drop the N least useful layers of the base first.")
]
Vary = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Variants of each row to learn from, other values quoted."),
]
AdaptedMatrices = Annotated[
    Literal["feed-forward", "all"], typer.Option(help="What the adapter adapts of each layer.")
]
System = Annotated[
    str | None, typer.Option(help="What it is told before the text; without: the agent's job.")
]
Source = Annotated[str, typer.Option(help="Where the rows come from, for the card.")]
Licence = Annotated[str, typer.Option(help="Of the rows, for the card.")]


def specialise(  # noqa: PLR0913 (the options of a verb)
    name: Annotated[str, typer.Argument(metavar="AGENT", help="One of the project's agents.")],
    *,
    data: Data,
    held_out: HeldOut = None,
    base: Base = "embedded:smollm2:135m",
    budget_minutes: Budget = 30.0,
    seed: Seed = 0,
    rank: Rank = None,
    passes: Passes = None,
    learning_rate: Rate = None,
    batch: Batch = None,
    matrices: AdaptedMatrices = "feed-forward",
    vary: Vary = 0,
    prune: Prune = 0,
    system: System = None,
    source: Source = "not said",
    licence: Licence = "not said",
    as_json: AsJson = False,
) -> None:
    """Curate rows, tune, evaluate on rows held out, and go live if that is not worse than before.

    Killed or interrupted, the same command goes on where it was.
    """
    from dataclasses import replace

    from shoal.agents.row import load_rows
    from shoal.project import open_project
    from shoal.specialise import Provenance
    from shoal.specialise import specialise as train
    from shoal.training.tune_settings import TuneSettings

    project = open_project()
    agent = project.agent(name)
    rows, held = load_rows(data), load_rows(held_out) if held_out else ()
    tuning = replace(
        TuneSettings(seed=seed, budget_minutes=budget_minutes or None, matrices=matrices),
        **_chosen(rank=rank, passes=passes, learning_rate=learning_rate, batch=batch),
    )

    async def work() -> "SpecialiseReport":
        with _shown(name) as show:
            return await train(
                agent,
                rows,
                base=base,
                held_out=held,
                tuning=tuning,
                system=system,
                provenance=Provenance(source=source, licence=licence),
                project=project,
                progress=show,
                fewer_layers=prune,
                variants=vary,
            )

    report = run_async(work())
    print_json(_plain(report)) if as_json else _print(report)


def _chosen(*, rank: int | None, **others: float | None) -> dict[str, float]:
    """Settings that were given; the update is scaled by alpha / rank, which stays as it is."""
    alpha = None if rank is None else 2.0 * rank
    settings = {"rank": rank, "alpha": alpha, **others}
    return {name: value for name, value in settings.items() if value is not None}


@contextmanager
def _shown(agent: str) -> "Generator[Progress]":
    """A bar for the stage at hand on standard error, and a line for everything found."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(agent, total=None, left="")
        said = time.monotonic()

        def show(step: "Step") -> None:
            nonlocal said
            title = TITLES[step.stage]
            if step.text:
                bar.console.print(f"{title}: {step.text}", markup=False, soft_wrap=True)
                return
            left = "" if step.seconds_left is None else _left(step.seconds_left)
            if not bar.console.is_terminal and time.monotonic() >= said + EVERY_S:
                said = time.monotonic()
                bar.console.print(
                    f"{title}: {step.done} of {step.total} {left}", markup=False, soft_wrap=True
                )
            bar.update(task, description=title, completed=step.done, total=step.total, left=left)

        yield show


def _left(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


def _plain(report: "SpecialiseReport") -> dict[str, object]:
    from dataclasses import asdict

    said: dict[str, object] = {"live": report.is_live, "folder": report.folder, "notes": report.notes}
    return asdict(report.version) | said


def _print(report: "SpecialiseReport") -> None:
    from rich.table import Table

    out, version = console(), report.version
    out.print(f"{version.key} · {'live' if report.is_live else 'not live'}", style="bold")
    table = Table("", "value", "95 %", box=None, pad_edge=False)
    for name, score in version.scores.items():
        table.add_row(name, f"{score.value:.3f}", f"{score.low:.3f}-{score.high:.3f}")
    out.print(table)
    for reason in version.gate.reasons:
        out.print(reason, markup=False, soft_wrap=True)
    out.print(f"card: {report.folder / 'card.md'}", markup=False, soft_wrap=True)
    print_notes(report.notes)
