"""Showing a person what would leave this machine, and asking whether it may."""

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import typer

from shoal.cli.output import console, usd

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.graphs import ConsentRequest, Result

__all__ = ["can_ask", "decide", "show_waiting"]

Resume = Callable[[dict[str, bool]], Coroutine[Any, Any, "Result"]]


def can_ask() -> bool:
    """Whether there is a person at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()


async def decide(result: "Result", resume: Resume) -> "Result":
    """Ask about every text until the run does not wait any more."""
    out = console()
    while result.status == "waiting":
        decided: dict[str, bool] = {}
        for asked in result.consent:
            _show(out, asked)
            decided[asked.subtask_id] = typer.confirm(f"Send this to {asked.model}?", default=False)
        result = await resume(decided)
    return result


def show_waiting(result: "Result") -> None:
    """What is waited for, and the commands that go on."""
    out = console()
    for asked in result.consent:
        _show(out, asked)
    run = result.run_id[:8]
    out.print(f"go on: shoal run --resume {run} --allow", style="bold", soft_wrap=True)
    out.print(f"   or: shoal run --resume {run} --deny", style="bold", soft_wrap=True)


def _show(out: "Console", asked: "ConsentRequest") -> None:
    out.print(f"To {asked.model}, for {asked.agent}", style="bold yellow", markup=False, soft_wrap=True)
    out.print(asked.reason, style="dim", markup=False, soft_wrap=True)
    for message in asked.messages:
        out.print(f"{message.role}:", style="dim")
        lines = "\n".join(f"  │ {line}" for line in message.content.splitlines())
        out.print(lines, markup=False, soft_wrap=True)
    out.print(f"expected cost: {usd(asked.expected_usd)}\n", style="dim")
