"""`shoal correct`: say what an answer should have been, for the next harvest to learn from."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.output import AsJson, print_json, run_async

if TYPE_CHECKING:
    from shoal.tracing.record import StepRow

__all__ = ["correct"]


def correct(
    run: Annotated[str, typer.Argument(help="Id of a run, or its first characters.")],
    answer: Annotated[
        str, typer.Argument(help="File with the right answer, JSON or text; - reads standard input.")
    ],
    *,
    subtask: Annotated[
        str | None, typer.Option(help="Which part, where the request was split.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Correct an agent's answer: it stays as it was, and the right one is kept beside it."""
    from shoal.cli.runs import open_ledger
    from shoal.harvesting.correction import answered_step, corrected_step
    from shoal.project import open_project

    step = answered_step(open_ledger().run(run), subtask)
    agent = open_project().agent(str(step.agent))
    row = corrected_step(step, agent, _read(answer))
    run_async(_keep(row))
    if as_json:
        print_json({"run_id": row.run_id, "subtask": row.subtask_id, "agent": agent.name, "was": step.output})
        return
    typer.echo(
        f'{agent.name} on "{" ".join(step.input.split())[:60]}": corrected; it counts from the next'
        f" shoal harvest {agent.name}"
    )


def _read(answer: str) -> str:
    from shoal.core.errors import InputError

    try:
        return (sys.stdin.buffer.read() if answer == "-" else Path(answer).read_bytes()).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the answer cannot be read from {answer}", why=str(error), mend="give a UTF-8 file, or -"
        ) from error


async def _keep(row: "StepRow") -> None:
    from shoal.project import open_project
    from shoal.runtime import LEDGER
    from shoal.tracing.ledger import Ledger

    ledger = Ledger.open(open_project().settings.data_path / LEDGER)
    try:
        await ledger.begin_step(row)
    finally:
        await ledger.aclose()
