"""`shoal eval router`: fit on some files, ask every row of another, say how good the answers are."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.figures import print_figures, print_notes, shown
from shoal.cli.learning import FineTune, learning
from shoal.cli.output import AsJson, print_json

if TYPE_CHECKING:
    from shoal.evaluation.router import RoutedRow

__all__ = ["router"]


def router(  # noqa: PLR0913 (one parameter an option)
    *,
    train: Annotated[list[Path], typer.Option(help="JSONL[.gz] of {text, label}; can be repeated.")],
    test: Annotated[Path, typer.Option(help="JSONL[.gz] of {text, label}; label null = out of scope.")],
    validation: Annotated[
        Path | None, typer.Option(help="Rows kept out of training; confidence and threshold are set on them.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write one JSON row per test row here.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write report.html and its pictures here.")
    ] = None,
    fine_tune: FineTune = False,
    seed: Annotated[int, typer.Option(help="Same seed, same router.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a router, ask it every test row, print how good it is."""
    import time

    from shoal.evaluation.router import check_labels, route_rows, score_rows
    from shoal.router import Router
    from shoal.router.example import load_examples

    examples = [example for path in train for example in load_examples(path)]
    held = load_examples(validation) if validation else ()
    rows = load_examples(test)
    known = sorted({example.agent for example in examples if example.agent is not None})
    foreign = check_labels([row.agent for row in rows], known)
    title = f"fitting on {len(examples)} rows, deciding {len(rows)}"
    with learning(title, fine_tune=fine_tune) as tuner:
        started = time.perf_counter()
        fitted = Router.fit(examples, validation=held, tuner=tuner, seed=seed)
        train_s = time.perf_counter() - started
        routed, latency = route_rows(fitted, rows)
    figures = {
        **asdict(score_rows(routed)),
        "latency_ms": asdict(latency),
        "train_s": train_s,
        "peak_rss_mb": _peak_rss_mb(),
    }
    if predictions:
        _write_predictions(routed, predictions)
    if as_json:
        print_json(figures)
    else:
        print_figures(figures)
    if report:
        from shoal.evaluation.router_report import write_report

        page = write_report(routed, {name: shown(value) for name, value in figures.items()}, report)
        print_notes([f"wrote {page}"])
    if foreign:
        print_notes([f"labels without a training row, counted as wrong: {', '.join(foreign)}"])
    print_notes(fitted.report.lines())


def _write_predictions(rows: "tuple[RoutedRow, ...]", path: Path) -> None:
    from shoal.core.errors import StorageError

    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(asdict(row), ensure_ascii=False)}\n" for row in rows)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}", why=str(error), mend="give --predictions a file that can be written"
        ) from error


def _peak_rss_mb() -> float:
    """Of this process alone: getrusage's figure starts at the parent's where it was forked off a big one."""
    import resource
    import sys

    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)  # bytes on macOS: getrusage(2)
