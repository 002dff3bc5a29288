"""`shoal eval cascade`: what a small model may keep, on labelled rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.output import AsJson, console, print_json

if TYPE_CHECKING:
    from shoal.evaluation.cascade import CascadeReport, Judged

__all__ = ["cascade"]


def cascade(  # noqa: PLR0913 (the options of a verb)
    *,
    train: Annotated[list[Path], typer.Option("--train", help="Rows to learn from; can be repeated.")],
    test: Annotated[list[Path], typer.Option("--test", help="Rows to judge; can be repeated.")],
    max_error: Annotated[float, typer.Option(help="Bearable share of errors among kept answers.")] = 0.05,
    confidence: Annotated[float, typer.Option(help="How sure the promise must be.")] = 0.95,
    small: Annotated[str | None, typer.Option(help="The small model, where rows name many.")] = None,
    large: Annotated[str | None, typer.Option(help="The large model, where rows name many.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write score, confidence and local of every test row (JSONL).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn on rows of a small and a large model which answers to keep; judge other rows."""
    from shoal.evaluation.cascade import evaluate_cascade
    from shoal.retrieval.embedder import MiniLM
    from shoal.router.escalation.reader import load_rows, name_models
    from shoal.router.escalation.settings import Escalation

    Escalation(max_error=max_error, confidence=confidence)  # refuses impossible rates
    meant = name_models(train)
    names = {"small": small or meant[0], "large": large or meant[1]}
    report, judged = evaluate_cascade(
        load_rows(train, **names), load_rows(test, **names), MiniLM(), max_error=max_error, level=confidence
    )
    if predictions is not None:
        _write(predictions, judged)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _write(path: Path, judged: "tuple[Judged, ...]") -> None:
    import json
    from dataclasses import asdict

    from shoal.core.errors import StorageError

    try:
        path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in judged), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"the predictions cannot be written to {path}", why=str(error)) from error


def _print(report: "CascadeReport") -> None:
    from rich.table import Table

    out = console()
    table = Table("", "value", "95 %", box=None)
    for name in (
        "apgr",
        "cpt50",
        "cpt80",
        "auroc",
        "ece",
        "share_local",
        "error_local",
        "threshold",
        "accuracy",
    ):
        table.add_row(name, _number(getattr(report, name)), _range(report.intervals.get(name)))
    table.add_row("cost_vs_large", _number(report.cost_vs_large))
    table.add_row("certified", "yes" if report.certified else "no")
    out.print(table)
    others = Table("baseline", "accuracy", "95 %", "apgr", "95 %", box=None)
    for name, baseline in report.baselines.items():
        others.add_row(
            name,
            _number(baseline.accuracy),
            _range(baseline.accuracy_interval),
            _number(baseline.apgr),
            _range(baseline.apgr_interval),
        )
    out.print(others)
    for note in report.notes:
        out.print(note, markup=False)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def _range(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"
