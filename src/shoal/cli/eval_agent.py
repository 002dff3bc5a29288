"""`shoal eval agent`: ask an agent rows that say what it should answer, and score what it says."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.figures import print_notes
from shoal.cli.output import AsJson, console, print_json, run_async, seconds, tokens, usd

if TYPE_CHECKING:
    from shoal.agents import Agent
    from shoal.evaluation.agent import Evaluation, Progress
    from shoal.project import Project

__all__ = ["agent", "answering", "print_scores"]


def agent(  # noqa: PLR0913 (the options of a verb)
    name: Annotated[str, typer.Argument(metavar="AGENT", help="One of the project's agents.")],
    *,
    test: Annotated[
        Path,
        typer.Option(
            help="JSONL[.gz] of {input, expected}; or {text, label, slots}, {text, fields}, {text, spans}."
        ),
    ],
    model: Annotated[str | None, typer.Option(help="Another model or alias than the agent's.")] = None,
    specialist: Annotated[
        str | None,
        typer.Option(metavar="NUMBER|none", help="A version of its own, or none; without: the live one."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write one JSON row per test row here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask an agent every row, without routing or escalation, and score its answers."""
    from shoal.agents.row import load_rows
    from shoal.evaluation.agent import evaluate_agent
    from shoal.project import open_project
    from shoal.router.escalation import Policy
    from shoal.runtime import LocalRuntime

    project = open_project()
    asked = _asked(project, name, model, specialist)
    rows = load_rows(test)
    chosen = rows[:limit]
    if predictions is not None:
        _write(predictions, "")  # before the work, not after it

    async def work() -> "Evaluation":
        runtime = LocalRuntime(project.settings)
        try:
            with answering(f"asking {name}") as show:
                judge = Policy(project.settings.escalation)
                return await evaluate_agent(asked, chosen, runtime, judge, progress=show)
        finally:
            await runtime.aclose()

    result = run_async(work())
    if predictions is not None:
        lines = (json.dumps(answer.prediction(), ensure_ascii=False) for answer in result.answers)
        _write(predictions, "".join(f"{line}\n" for line in lines))
    figures = result.figures()
    if len(chosen) < len(rows):
        figures["notes"] = (f"only the first {len(chosen)} of {len(rows)} rows", *figures["notes"])
    if as_json:
        print_json(figures)
    else:
        print_scores(figures)


def _asked(project: "Project", name: str, model: str | None, specialist: str | None) -> "Agent[Any]":
    """The agent as it is to be measured."""
    from dataclasses import replace

    from shoal.core.errors import ConfigError, UnknownName
    from shoal.specialists.version import open_version

    agent = project.agent(name)
    if specialist is None:
        return project.specialised(agent) if model is None else agent.asking(model)
    if model is not None:
        raise ConfigError(
            "a specialist answers on its own base, not on another model",
            mend="leave --model or --specialist out",
        )
    if specialist == "none":
        return agent
    numbers = [str(number) for number in project.specialists.numbers(name)]
    if specialist not in numbers:
        raise UnknownName(f"version of {name}", specialist, [*numbers, "none"])
    return replace(agent, specialist=open_version(project.specialists.path(name, int(specialist))))


@contextmanager
def answering(title: str) -> "Generator[Progress]":
    """A bar on standard error: rows answered, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_scores(figures: dict[str, Any]) -> None:
    """For people; the notes go to standard error."""
    from rich.table import Table

    out, around = console(), figures["intervals"]
    digest = f" · {figures['digest'][-12:]}" if figures["digest"] else ""
    whom = figures["specialist"] or figures["agent"]
    out.print(f"{whom} · {figures['model']}{digest} · {figures['rows']} rows", style="bold")
    table = Table("", "value", "95 %", box=None, pad_edge=False)
    for name in ("exact_match", "field_f1", "valid_output", "confidence_auroc"):
        table.add_row(name, _share(figures[name]), _range(around[name]))
    for name, one in figures["by_field"].items():
        if name:
            table.add_row(f"  {name} f1", _share(one["f1"]), _range(one["interval"]))
    kept = "kept_at_5_percent_error_in_hindsight"
    table.add_row(kept, _share(figures[kept]), "")
    out.print(table)
    latency, read, written = figures["latency_ms"], figures["tokens"]["input"], figures["tokens"]["output"]
    energy = "? J" if figures["energy"] is None else f"{figures['energy']:.1f} J"
    out.print(
        f"latency p50 {seconds(latency['p50'] / 1000)}, p95 {seconds(latency['p95'] / 1000)}"
        f" · {tokens(read, written)} tokens · {usd(figures['cost'])} · {energy}",
        soft_wrap=True,
    )
    print_notes(figures["notes"])


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def _range(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def _write(path: Path, content: str) -> None:
    from shoal.core.errors import StorageError

    try:
        path.write_text(content, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise StorageError(
            f"cannot write {path}", why=str(error), mend="give --predictions a file that can be written"
        ) from error
