"""`shoal calibrate`: a certificate an agent, from labelled rows."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.output import AsJson, console, print_json, run_async

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.evaluation.calibration import Report
    from shoal.evaluation.labelling import Grader
    from shoal.project import Project
    from shoal.router.escalation import Certificate

__all__ = ["calibrate"]


def calibrate(  # noqa: PLR0913 (options of a command)
    data: Annotated[Path, typer.Argument(help='JSONL of {"input": ..., "expected": ...}, a row a line.')],
    *,
    agent: Annotated[
        str | None, typer.Option(help="Only this one; default: every agent that meets rows.")
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="Bearable share of wrong answers among those kept.")
    ] = 0.05,
    confidence: Annotated[float, typer.Option(help="How sure the promise must be.")] = 0.95,
    grader: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Says of (input, output, expected) whether it will do."),
    ] = None,
    large: Annotated[
        bool, typer.Option("--large", help="Ask the large model as well: escalate only what it does better.")
    ] = False,
    engine: Annotated[str | None, typer.Option(help="auto, embedded, ollama or openai.")] = None,
    as_json: AsJson = False,
) -> None:
    """Learn which answers can be kept, and promise how many of them will be wrong."""
    from shoal.evaluation.labelling import load_rows
    from shoal.project import open_project

    project = open_project(engine=engine)
    rows = load_rows(data)
    wanted = replace(project.settings.escalation, max_error=max_error, confidence=confidence)
    project = replace(project, settings=project.settings.model_copy(update={"escalation": wanted}))
    judge = None if grader is None else _import(grader, project.root)

    async def work() -> "Report":
        async with project.team() as team:
            return await team.calibrate(rows, grader=judge, agent=agent, ask_large=large)

    report = run_async(work())
    if as_json:
        shown = [{**vars_of(one), "id": one.id} for one in report.certificates]
        print_json({**vars_of(report), "certificates": shown})
    else:
        _show(console(), report, project)


def vars_of(value: Any) -> dict[str, Any]:
    """Fields of a dataclass, without what only a program reads."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "combiner"}


def _import(name: str, root: Path) -> "Grader":
    from shoal.core.errors import ConfigError

    module, _, function = name.partition(":")
    sys.path.insert(0, str(root))
    try:
        found: Grader = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the grader {name} cannot be imported", why=str(error), mend="--grader tools.grading:same_total"
        ) from error
    return found


def _show(out: "Console", report: "Report", project: "Project") -> None:
    for certificate in report.certificates:
        _show_certificate(out, certificate, report.accuracy[certificate.agent])
    for agent, rows in sorted(report.too_few.items()):
        out.print(f"{agent}: {rows} labelled row, nothing can be said", style="yellow")
    if report.nobody:
        out.print(f"{report.nobody} rows went to nobody: the router found no agent for them", style="dim")
    for model, rows in sorted(report.failed.items()):
        out.print(f"{model} failed on {rows} rows, which count as not acceptable", style="yellow")
    if report.elsewhere:
        out.print(f"{report.elsewhere} rows went to other agents", style="dim")
    out.print(f"kept in {project.settings.data_path / 'certificates'}", style="dim", soft_wrap=True)


def _show_certificate(out: "Console", found: "Certificate", accuracy: float) -> None:
    rows = found.rows_fitted + found.rows_tested
    out.print(f"{found.agent} · {rows} rows, {accuracy:.0%} acceptable without any policy", style="bold")
    if found.threshold is None:
        out.print(
            f"  nothing promised: {found.max_error:.0%} errors at most; {found.shortfall}",
            style="yellow",
            soft_wrap=True,
        )
        return
    out.print(
        f"  at most {found.max_error:.0%} of the answers kept are wrong, {found.level:.0%} sure"
        f" (seen: {found.wrong} of {found.kept}; bound {found.error_bound:.1%})",
        style="green",
        soft_wrap=True,
    )
    out.print(
        f"  threshold {found.threshold:.3f} · kept local {found.share_local:.0%}"
        f" ({found.share_low:.0%} to {found.share_high:.0%}) · certificate {found.id}",
        soft_wrap=True,
    )
    out.print(
        f"  {found.method}: {found.rows_fitted} rows fitted on, {found.rows_tested} others tested",
        style="dim",
    )
    named = {name: str(value)[-12:] for name, value in vars_of(found.digests).items() if value is not None}
    out.print(
        "  void when one changes: " + " · ".join(f"{k} {v}" for k, v in named.items()),
        style="dim",
        soft_wrap=True,
    )
