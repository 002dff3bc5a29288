"""`shoal router`: fit one, ask why it decides as it does, correct it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.figures import print_notes
from shoal.cli.learning import FineTune, learning
from shoal.cli.output import AsJson, console, print_json
from shoal.core.errors import ConfigError, InputError, RunError

if TYPE_CHECKING:
    from shoal.core.decision import Decision
    from shoal.project import Project
    from shoal.tracing.record import RunRecord, StepRow

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
SAVED = "router.json"
SHOWN = 5
"""Scores that people see; JSON has all."""


@app.command()
def fit(
    examples: Annotated[
        Path | None,
        typer.Argument(help="JSONL[.gz] of {text, label}. Without: the project's.", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to save it in; without: router, or where the team looks for it."),
    ] = None,
    fine_tune: FineTune = False,
    as_json: AsJson = False,
) -> None:
    """Learn a router from examples, or the project's from its examples and agents."""
    from shoal.router import Router

    project = _project_of(examples)
    folder = out or (project.settings.data_path if project else Path()) / "router"
    if project is None or out is not None:
        _check_folder(folder)
    with learning("learning", fine_tune=fine_tune) as tuner:
        if project:
            fitted = project.learn_router(tuner) if tuner else project.router
        else:
            fitted = Router.fit(examples or (), tuner=tuner)
        fitted.save(folder)
    report = fitted.report
    if as_json:
        print_json(
            {"folder": str(folder), "agents": fitted.agents, "threshold": fitted.threshold, "report": report}
        )
        return
    nobody = f", {report.out_of_scope} of them nobody's" if report.out_of_scope else ""
    typer.echo(f"{folder}: {len(fitted.agents)} agents learnt from {report.examples} examples{nobody}")
    print_notes(report.lines())


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="A request.")],
    *,
    saved: Annotated[
        Path | None, typer.Option("--router", help="A saved router instead of the project's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where a request would go and why: its parts, scores, nearest examples and the threshold."""
    from shoal.project import open_project
    from shoal.router import Router

    router = Router.load(saved) if saved else open_project().router
    parts = [(part, router.decide(part.text)) for part in router.split(text)]
    if as_json:
        whole = router.decide(text) if len(parts) > 1 else parts[0][1]
        told = [
            {"text": part.text, "start": part.start, "end": part.end, **_plain(decision)}
            for part, decision in parts
        ]
        print_json({"text": text, **_plain(whole), "parts": told})
        return
    for part, decision in parts:
        _show(part.text, decision)


@app.command()
def learn(
    run: Annotated[str, typer.Argument(help="Id of a run, or its first characters.")],
    *,
    agent: Annotated[str | None, typer.Option(help="Who should have got it.", show_default=False)] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="No agent should have got it.")] = False,
    subtask: Annotated[
        str | None, typer.Option(help="Which part, where the request was split.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Correct a decision: its text becomes an example, and the router is learnt anew at the next start."""
    from shoal.cli.runs import open_ledger
    from shoal.router.correction import add_correction
    from shoal.router.example import Example

    project = _own_project()
    if (agent is None) == (not nobody):
        raise InputError(
            "who should have got it is not said",
            why="one of --agent and --nobody has to be there",
            mend=f"shoal router learn {run} --agent {project.agents[0].name}",
        )
    label = project.agent(agent).name if agent is not None else None
    record = open_ledger().run(run)
    step = _step(record, subtask)
    correction = add_correction(project.examples, Example(step.input, label))
    before = step.decision.agent if step.decision else None
    if as_json:
        print_json({**_plain(correction), "file": str(project.examples), "decided": before})
        return
    whom = label or "nobody"
    typer.echo(
        f'"{" ".join(step.input.split())[:80]}" went to {before or "nobody"}; '
        + (
            f"the example for {whom} was added"
            if correction.added
            else f"it is an example for {whom} already"
        )
        + f" ({correction.examples} in {project.examples})"
    )
    print_notes(
        f"{project.examples} also has this text for {other}: take the wrong line out"
        for other in correction.contradicts
    )


def _project_of(examples: Path | None) -> "Project | None":
    """The project whose own examples are meant; None = a file of somebody else's."""
    from shoal.project import open_project

    project = open_project()
    own = examples is None or examples.resolve() == project.examples.resolve()
    return project if own else None


def _own_project() -> "Project":
    from shoal.config import find_root
    from shoal.project import open_project

    if find_root() is None:
        raise ConfigError(
            "there is no project here to learn",
            why="the shipped team is not changed",
            mend="shoal init FOLDER, and run it there",
        )
    return open_project()


def _check_folder(folder: Path) -> None:
    """A router is saved with the examples it was learnt from: nobody's own may stand there."""
    from shoal.project import EXAMPLES

    if (folder / EXAMPLES).exists() and not (folder / SAVED).exists():
        raise ConfigError(
            f"{folder / EXAMPLES} belongs to no saved router and would be replaced",
            why="a router is saved with the examples it was learnt from",
            mend="give another folder with --out; or add the new rows to that file and run: shoal router fit",
        )


def _step(record: "RunRecord", subtask: str | None) -> "StepRow":
    """The routed step of the named subtask, or of the only one."""
    routed = {step.subtask_id: step for step in reversed(record.steps) if step.decision and step.subtask_id}
    if subtask is None and len(routed) == 1:
        return next(iter(routed.values()))
    if subtask in routed:
        return routed[subtask]
    named = "; ".join(f'{key}: "{" ".join(routed[key].input.split())[:60]}"' for key in sorted(routed))
    raise RunError(
        f"run {record.run.id[:8]} has " + (f'no subtask "{subtask}"' if subtask else "several subtasks")
        if routed
        else f"run {record.run.id[:8]} has no routed subtask",
        why=named,
        mend=f"shoal router learn {record.run.id[:8]} --subtask 1 ..." if routed else "shoal runs",
    )


def _show(text: str, decision: "Decision") -> None:
    out = console()
    sure = "?" if decision.confidence is None else f"{decision.confidence:.2f}"
    named = "" if decision.calibrated else ", uncalibrated"
    out.print(f"? {' '.join(text.split())}", style="bold", markup=False, soft_wrap=True)
    out.print(
        f"  {decision.agent or 'nobody'} · confidence {sure}{named} · threshold {decision.threshold:.2f}"
        f" · margin {decision.margin:.2f}",
        soft_wrap=True,
    )
    out.print(f"  {decision.reason}", style="dim", markup=False, soft_wrap=True)
    best = sorted(decision.scores.items(), key=lambda item: -item[1])[:SHOWN]
    out.print("  scores   " + "  ".join(f"{agent} {score:.2f}" for agent, score in best), soft_wrap=True)
    for near in decision.nearest:
        out.print(
            f"  near {near.similarity:.2f} {near.agent or 'nobody'}: {' '.join(near.text.split())}",
            markup=False,
            soft_wrap=True,
        )


def _plain(value: Any) -> dict[str, Any]:
    return dataclasses.asdict(value)
