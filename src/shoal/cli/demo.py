"""`shoal demo`: the team of the current project over a real inbox, and what every subtask took."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.judgement import forgone
from shoal.cli.output import AsJson, console, print_json, run_async, seconds, status_style, tokens, usd

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.cli.demo_decisions import DecisionRow
    from shoal.cli.demo_totals import DemoTotals
    from shoal.graphs import Result, Step
    from shoal.project import Project
    from shoal.team import Team

__all__ = ["demo"]

AT_ONCE = 4
"""Messages worked on at a time: enough to keep two cores and two slots busy."""


def demo(
    inbox: Annotated[
        Path | None, typer.Argument(help='JSONL of {"text": ...}; default: the shipped one.')
    ] = None,
    *,
    engine: Annotated[str | None, typer.Option(help="auto, embedded, ollama or openai.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many messages.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the team over a real inbox and print what every subtask took."""
    run_async(_demo(inbox, engine=engine, limit=limit, as_json=as_json))


async def _demo(inbox: Path | None, *, engine: str | None, limit: int | None, as_json: bool) -> None:
    from shoal.cli.demo_decisions import decisions
    from shoal.cli.demo_totals import add_up
    from shoal.cli.provisioning import provide_models
    from shoal.project import open_project

    project = open_project(engine=engine)
    texts = _read_inbox(inbox or project.root / "examples" / "inbox.jsonl")[:limit]
    out = console(stderr=as_json)
    team = project.team()
    async with team:
        await provide_models(team, out)
        await _open_knowledge(team, out)
        results = await _answer_all(team.run, texts, None if as_json else out)
        totals = add_up(project, team, results)
        records = [team.runtime.ledger.run(result.run_id) for result in results]
        decided = decisions(records, has_large=team.large is not None)
    if as_json:
        print_json({"results": results, "decisions": decided, "totals": totals})
    else:
        _show_decisions(out, decided)
        _show_totals(out, totals, project)


async def _open_knowledge(team: "Team", out: "Console") -> None:
    """Bring the indexes up to date first, so that the table shows what answering takes."""
    folders = dict.fromkeys(agent.knowledge for agent in team.agents.values() if agent.knowledge)
    with out.status("reading the handbook") as status:
        for folder in folders:
            status.update(f"reading {folder}")
            await team.runtime.retriever(folder)


async def _answer_all(run: Any, texts: Sequence[str], out: "Console | None") -> list["Result"]:
    """Answer all, a few at a time, printing each as soon as those before it are printed."""
    places = asyncio.Semaphore(AT_ONCE)

    async def answer(text: str) -> "Result":
        async with places:
            return await run(text)

    tasks = [asyncio.create_task(answer(text)) for text in texts]
    try:
        for number, task in enumerate(tasks, start=1):
            result = await task
            if out is not None:
                if len(result.steps) > 1:
                    out.print(f"{number:>3} split into {len(result.steps)} parts", style="dim")
                for step in result.steps:
                    _show_step(out, number, step)
    finally:  # one that fails ends the demo with its own error, and the others with it
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks]


def _show_step(out: "Console", number: int, step: "Step") -> None:
    from rich.text import Text

    status = "escalated" if step.escalated and step.status == "accepted" else step.status
    sure = "  ? " if step.confidence is None else f"{step.confidence:.2f}" + ("" if step.calibrated else "~")
    line = Text.assemble(
        (f"{number:>3} ", "dim"),
        (f"{status:<9}", status_style(status)),
        f" {step.agent or 'nobody':<18} {sure:<5} {step.model or '-':<24}",
        f" {seconds(step.latency_s):>8} {tokens(step.usage.input_tokens, step.usage.output_tokens):>8}",
        f" {usd(step.cost_usd):>9}",
    )
    out.print(line, soft_wrap=True)
    for mark, text, style in (("?", step.subtask, "bold"), ("!", _last_word(step), "")):
        out.print(f"    {mark} {_shorten(text, out.width)}", style=style, markup=False, soft_wrap=True)


def _last_word(step: "Step") -> str:
    """The answer, or why there is none."""
    return step.text if step.status == "accepted" else step.why


def _show_decisions(out: "Console", decided: "Sequence[DecisionRow]") -> None:
    out.print("\nwhat the policy decided", style="bold")
    for row in decided:
        out.print(f"{row.action:<9} {row.times:>3}  {row.meaning}", markup=False, soft_wrap=True)
        for mark, text in (("?", row.example), ("!", row.why)):
            if text:
                out.print(
                    f"    {mark} {_shorten(text, out.width)}", style="dim", markup=False, soft_wrap=True
                )


def _shorten(text: str, width: int) -> str:
    """On one line of the terminal, behind a mark."""
    shown, room = " ".join(text.split()), max(40, width - 6)
    return shown if len(shown) <= room else shown[: room - 1] + "…"


def _show_totals(out: "Console", totals: "DemoTotals", project: "Project") -> None:
    from rich.table import Table

    table = Table(
        "agent", box=None, pad_edge=False, title=f"\n{totals.subtasks} subtasks of {totals.messages} messages"
    )
    for heading in ("subtasks", "kept local", "flagged", "p50", "p95", "tokens", "cost"):
        table.add_column(heading, justify="right")
    for row in totals.agents:
        table.add_row(
            row.agent,
            str(row.subtasks),
            f"{row.kept_local:.0%}",
            str(row.flagged),
            seconds(row.latency_p50_s),
            seconds(row.latency_p95_s),
            tokens(row.input_tokens, row.output_tokens),
            usd(row.cost_usd),
        )
    out.print(table)
    took = f"p50 {seconds(totals.latency_p50_s)} · p95 {seconds(totals.latency_p95_s)}"
    out.print(
        f"\n{totals.split} of {totals.messages} messages were split"
        f" · for {totals.nobody} subtasks there is no agent"
    )
    out.print(f"kept local {totals.kept_local:.0%} · flagged {totals.flagged} · {took}")
    if totals.refused:
        out.print(forgone(totals.refused, totals.benefit_forgone), style="yellow")
    out.print(f"cost {usd(totals.cost_usd)}: {totals.cost_method}")
    out.print(
        f"large only would have cost {usd(totals.large_only_usd)}: {totals.large_only_method}", style="dim"
    )
    out.print("~ uncertified: it orders answers and promises no rate; shoal calibrate ROWS does", style="dim")
    out.print(
        f"ledger: {project.settings.data_path} · shoal runs · shoal trace RUN", style="dim", soft_wrap=True
    )


def _read_inbox(path: Path) -> list[str]:
    from shoal.core.errors import InputError

    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the inbox {path} cannot be read", why=str(error), mend="shoal demo INBOX.jsonl"
        ) from error
    texts: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{path}, line {number} is not a message", mend='write {"text": "..."} on it')
        texts.append(text)
    if not texts:
        raise InputError(f"the inbox {path} is empty", mend='write {"text": "..."} lines into it')
    return texts
