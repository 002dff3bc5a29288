"""`shoal`: the entry point.

Start-up has to stay under 0.4 s, so modules of this package import typer and plain data only; what a verb
needs is imported when it runs.
"""

import io
import os
import sys
from typing import Annotated

import typer

from shoal.cli import (
    cache,
    calibrate,
    correct,
    demo,
    doctor,
    evaluate,
    graph,
    harvest,
    index,
    init,
    models,
    replay,
    router,
    run,
    runs,
    specialise,
    specialists,
    trace,
)
from shoal.core.errors import ShoalError

__all__ = ["app", "main"]

app = typer.Typer(
    name="shoal",
    help="Many small language models that work as one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models", help="List, fetch, push and remove models.")
app.add_typer(index.app, name="index", help="Add documents, look passages up, verify the index.")
app.add_typer(router.app, name="router", help="Fit the router, ask why it decides so, correct it.")
app.add_typer(evaluate.app, name="eval", help="Learn from some rows, measure on others.")
app.command("calibrate")(calibrate.calibrate)
app.command("specialise")(specialise.specialise)
app.command("specialists")(specialists.specialists)
app.command("promote")(specialists.promote)
app.command("rollback")(specialists.rollback)
app.command("runs")(runs.runs)
app.command("trace")(trace.trace)
app.command("replay")(replay.replay)
app.command("correct")(correct.correct)
app.command("harvest")(harvest.harvest)
app.command("graph")(graph.graph)
app.add_typer(cache.app, name="cache", help="The answers that were kept: how many, and forget them.")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (typer's callback shape)
    if wanted:
        from importlib.metadata import version

        typer.echo(f"shoal {version('shoal')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del debug, version  # --debug is read in main(), which sees errors from before this runs as well


def main() -> None:
    """Run the command line; a `ShoalError` becomes its three lines and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A model's JSON can hold halves of surrogate pairs, which no encoding has.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ShoalError as error:
        if "--debug" in sys.argv:
            raise
        typer.secho(f"shoal: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output went away (`shoal runs | head`); nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
