"""`shoal cache`: the answers that agents with cache=True have kept."""

from pathlib import Path

import typer

from shoal.cli.output import AsJson, megabytes, print_json

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(*, as_json: AsJson = False) -> None:
    """Say how many answers are kept, and what they take."""
    from shoal.serving.answer_store import measure_answers

    path = _path()
    size = measure_answers(path)
    if as_json:
        print_json(size)
    else:
        typer.echo(f"{size.answers} answers, {megabytes(size.bytes)}, in {path}")


@app.command()
def clear() -> None:
    """Forget every answer that was kept."""
    from shoal.serving.answer_store import clear_answers, measure_answers

    path = _path()
    size = measure_answers(path)
    clear_answers(path)
    typer.echo(f"{size.answers} answers forgotten, {megabytes(size.bytes)}")


def _path() -> Path:
    from shoal.project import open_project
    from shoal.runtime import ANSWERS

    return open_project().settings.data_path / ANSWERS
