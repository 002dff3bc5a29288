"""`shoal doctor`: what is wrong, why, and the command that mends it. Looks, changes nothing, under 3 s."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from shoal.cli.output import AsJson, console, megabytes, print_json, run_async

if TYPE_CHECKING:
    from shoal.agents import Agent
    from shoal.project import Project
    from shoal.runtime import LocalRuntime
    from shoal.specialists import Specialist

__all__ = ["Finding", "doctor"]

Level = Literal["ok", "note", "wrong"]
STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "wrong": "red"}
LOW_DISK_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    what: str
    why: str = ""
    mend: str = ""


def doctor(*, as_json: AsJson = False) -> None:
    """Say what is wrong, why, and the command that mends it."""
    findings = run_async(_examine())
    if as_json:
        print_json(findings)
    else:
        from rich.markup import escape

        out = console()
        for finding in findings:
            out.print(
                f"[{STYLES[finding.level]}]{finding.level:<5}[/] {escape(finding.what)}", soft_wrap=True
            )
            for label, text in (("why", finding.why), ("mend", finding.mend)):
                if text:
                    out.print(f"      {label}: {text}", style="dim", markup=False, soft_wrap=True)
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    from shoal.core.errors import ShoalError
    from shoal.project import open_project
    from shoal.runtime import LocalRuntime

    findings = [_python()]
    try:
        project = open_project()
    except ShoalError as error:
        return [*findings, _wrong(error)]
    runtime = LocalRuntime(project.settings)
    checks: tuple[Callable[[Project, LocalRuntime], Awaitable[Iterable[Finding]]], ...] = (
        _check_project,
        _check_data,
        _check_engine,
        _check_models,
        _check_specialists,
        _check_memory,
        _check_network,
    )
    try:
        for check in checks:
            try:
                findings += await check(project, runtime)
            except ShoalError as error:
                findings.append(_wrong(error))
    finally:
        await runtime.aclose()
    return findings


def _wrong(error: Exception) -> Finding:
    what, why, mend = (str(getattr(error, part, "")) for part in ("what", "why", "mend"))
    return Finding(level="wrong", what=what, why=why, mend=mend)


def _python() -> Finding:
    from importlib.metadata import version

    machine = f"{sys.platform} {platform.machine()}"
    what = f"shoal {version('shoal')}, Python {platform.python_version()}, {machine}"
    return Finding(level="ok", what=what)


async def _check_project(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    del runtime
    names = [agent.name for agent in project.agents]
    findings = [Finding(level="ok", what=f"project {project.root}: {len(names)} agents ({', '.join(names)})")]
    _ = project.router
    findings.append(Finding(level="ok", what="router learnt from their jobs and router/examples.jsonl"))
    return findings


async def _check_data(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    from shoal.runtime import ANSWERS
    from shoal.serving.answer_store import measure_answers

    folder = project.settings.data_path
    rows = runtime.ledger.runs(limit=1)
    last = f", last run {rows[0].id[:8]}" if rows else ", no run yet"
    findings = [Finding(level="ok", what=f"data folder {folder} can be written{last}")]
    if (kept := measure_answers(folder / ANSWERS)).bytes:
        what = f"answer cache: {kept.answers} answers, {megabytes(kept.bytes)}"
        findings.append(Finding(level="ok", what=f"{what}; shoal cache clear forgets them"))
    free = shutil.disk_usage(folder).free
    if free < LOW_DISK_BYTES:
        findings.append(
            Finding(
                level="note",
                what=f"{free / 1e6:.0f} MB are free where {folder} is",
                why="ledger, checkpoints and weights need room",
                mend="set data_dir in shoal.toml to a larger disk",
            )
        )
    return findings


async def _check_engine(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    version = await runtime.ollama_version()
    url = project.settings.ollama_url
    if version is not None:
        findings = [Finding(level="ok", what=f"Ollama {version} answers at {url}")]
    elif project.settings.engine == "ollama":
        findings = [
            Finding(
                level="wrong",
                what=f"no Ollama answers at {url}",
                why='shoal.toml says engine = "ollama"',
                mend="ollama serve",
            )
        ]
    else:
        findings = [Finding(level="ok", what=f"no Ollama at {url}; the embedded engine is used")]
    if importlib.util.find_spec("xllamacpp") is None:
        needed = version is None and project.settings.engine != "openai"
        findings.append(
            Finding(
                level="wrong" if needed else "note",
                what="the embedded engine is not installed",
                why="xllamacpp is missing",
                mend='pip install "shoal[embedded]"',
            )
        )
    return findings


async def _check_models(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    from shoal.cli.provisioning import find_missing, models_of

    findings: list[Finding] = []
    for name in models_of(project):
        resolved = await runtime.resolve(name)
        missing = await find_missing(runtime, resolved)
        alias = f"{name} = " if name != str(resolved) else ""
        if missing is None:
            findings.append(Finding(level="ok", what=f"model {alias}{resolved} is there"))
        else:
            findings.append(Finding(level="wrong", what=missing.what, why=missing.why, mend=missing.mend))
    if project.settings.large is None:
        findings.append(
            Finding(
                level="note",
                what="there is no large model: an answer that is not good enough is flagged, not escalated",
                mend='in shoal.toml: large = "ollama:..."',
            )
        )
    return findings


async def _check_specialists(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    """Which agents have one live, on which base, and whether it is asked."""
    from shoal.core.errors import ShoalError

    findings: list[Finding] = []
    for agent in project.agents:
        try:
            live = project.specialists.specialist(agent.name)
            if live is not None:
                findings.append(await _examine_specialist(project, runtime, agent, live))
        except ShoalError as error:
            findings.append(_wrong(error))
    return findings


async def _examine_specialist(
    project: "Project", runtime: "LocalRuntime", agent: "Agent[Any]", live: "Specialist"
) -> Finding:
    import asyncio

    from shoal.cli.provisioning import find_missing
    from shoal.core.file_digest import hash_file
    from shoal.engines import wrong_base

    served = project.served(agent, live)
    if served is None:
        model = agent.model if isinstance(agent.model, str) else getattr(agent.model, "name", "?")
        return Finding(
            level="note",
            what=f"{agent.name} answers without {live.key}",
            why=f"{live.key} was trained on {live.base}, and the agent asks {model}",
            mend=f'model="{live.base}" in its file, or shoal rollback {agent.name}',
        )
    base = await runtime.resolve(served.base)
    missing = await find_missing(runtime, base)
    if missing is not None:
        raise missing
    if served.adapter is not None:
        digest = await asyncio.to_thread(hash_file, runtime.weights(base))
        if digest != live.base_digest:
            raise wrong_base(live, digest)
    return Finding(level="ok", what=f"{agent.name} answers with {live.key} on {base}")


async def _check_memory(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    if await runtime.ollama_version() is None:
        return []
    del project
    return [
        Finding(
            level="wrong",
            what=f"{1 - each.vram_bytes / each.size_bytes:.0%} of {each.name} does not fit the GPU",
            why="the CPU computes that part, so that every answer takes much longer",
            mend="`ollama stop` another model, take a smaller one, or lower num_ctx in [ollama]",
        )
        for each in await runtime.ollama_memory.ps()
        if each.vram_bytes and each.size_bytes and each.vram_bytes < each.size_bytes
    ]


async def _check_network(project: "Project", runtime: "LocalRuntime") -> list[Finding]:
    del runtime
    network = project.settings.network
    if network.local_only:
        hosts = ", ".join(network.allowed_hosts) or "none"
        return [
            Finding(
                level="ok", what=f"local_only: no connection leaves this machine (allowed hosts: {hosts})"
            )
        ]
    return [Finding(level="ok", what="remote models may be used if you name one (local_only = false)")]
