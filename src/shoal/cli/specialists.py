"""`shoal specialists`, `promote`, `rollback`: what was trained for the agents, and which version is live."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.output import AsJson, megabytes, print_json, run_async

if TYPE_CHECKING:
    from shoal.project import Project
    from shoal.specialists import Registry, Specialist, Version

__all__ = ["promote", "rollback", "specialists"]

Name = Annotated[str, typer.Argument(metavar="AGENT", help="One of the project's agents.")]


def specialists(
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Only this agent's.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List what was trained: versions, base, data, held-out score, size, and which is live."""
    from shoal.project import open_project

    registry = open_project().specialists
    agents = registry.agents() if agent is None else (agent,)
    rows = [_row(registry, name, number) for name in agents for number in registry.numbers(name)]
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"nothing was trained yet: shoal specialise {agent or 'AGENT'} --data ROWS.jsonl")
        return
    for row in rows:
        _print(row)


def promote(
    agent: Name,
    number: Annotated[int, typer.Argument(min=1, help="Of the version, as `shoal specialists` lists it.")],
    *,
    despite_gate: Annotated[
        bool, typer.Option("--despite-gate", help="Also a version that did not pass its gate.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the one that answers for its agent."""
    from shoal.project import open_project

    project = open_project()
    before = _known(project, agent).live(agent)
    trained = project.specialists.check(agent, number, despite_gate=despite_gate)
    run_async(_make_ready(project, agent, trained))
    version = project.specialists.promote(agent, number, despite_gate=despite_gate)
    _report(project, agent, before, version, as_json=as_json)


def rollback(agent: Name, *, as_json: AsJson = False) -> None:
    """Take an agent's last promotion back."""
    from shoal.project import open_project

    project = open_project()
    registry = _known(project, agent)
    before, now = registry.live(agent), registry.rollback(agent)
    if now is not None:
        trained = registry.check(agent, now.number, despite_gate=True)  # it was live once
        run_async(_make_ready(project, agent, trained))
    _report(project, agent, before, now, as_json=as_json)


async def _make_ready(project: "Project", agent: str, trained: "Specialist") -> None:
    """Put it into Ollama, if the agent is served there."""
    from shoal.cli.merged import push_merged
    from shoal.runtime import LocalRuntime

    served = next((project.served(each, trained) for each in project.agents if each.name == agent), None)
    if served is None or served.adapter is not None:
        return
    runtime = LocalRuntime(project.settings)
    try:
        await push_merged(runtime, trained, served)
    finally:
        await runtime.aclose()


def _known(project: "Project", agent: str) -> "Registry":
    """The registry, if it has versions of the agent."""
    from shoal.core.errors import UnknownName

    registry = project.specialists
    if not registry.numbers(agent):
        mend = f"shoal specialise {agent} --data ROWS.jsonl"
        raise UnknownName("agent with specialists", agent, registry.agents(), mend=mend)
    return registry


def _report(
    project: "Project", agent: str, before: "Version | None", now: "Version | None", *, as_json: bool
) -> None:
    is_void = (project.settings.data_path / "certificates" / f"{agent}.json").is_file() and before != now
    if as_json:
        keys = {"before": before and before.key, "live": now and now.key}
        print_json({"agent": agent, **keys, "certificate_void": is_void})
        return
    was = f"; before it was {before.key}" if before else "; before there was none"
    typer.echo(f"{now.key} is live{was}" if now else f"{agent} answers without a specialist again{was}")
    if is_void:
        typer.echo(f"its certificate is void: shoal calibrate ROWS --agent {agent}")


def _row(registry: "Registry", agent: str, number: int) -> dict[str, Any]:
    """A version as JSON; a damaged one with its error, so that the others can still be seen."""
    from dataclasses import asdict

    from shoal.core.errors import StorageDamaged
    from shoal.specialists.version import load_version

    try:
        live = registry.live(agent)
        version = load_version(registry.path(agent, number))
    except StorageDamaged as error:
        return {"agent": agent, "number": number, "error": error.what, "why": error.why, "mend": error.mend}
    return {**asdict(version), "live": live is not None and live.number == number, "error": None}


def _print(row: dict[str, Any]) -> None:
    key = f"{row['agent']}@{row['number']}"
    if row["error"] is not None:
        typer.echo(f"{key}  damaged\n    {row['why']}")
        return
    metric, score = next(iter(row["scores"].items()), ("not scored", None))
    shown = f"{metric} {score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})" if score else metric
    state = "live  " if row["live"] else "" if row["gate"]["passed"] else "gate not passed  "
    data = row["data"]
    typer.echo(f"{key}  {state}{shown}")
    typer.echo(
        f"    {row['base']} · data {data['digest'].removeprefix('sha256:')[:12]},"
        f" {data['rows']} rows and {data['held_out']} held out"
        f" · {megabytes(row['adapter_bytes'])} · {row['created']}"
    )
