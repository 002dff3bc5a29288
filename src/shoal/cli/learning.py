"""What is shown on standard error while a router learns: a bar with the time left where it is fine-tuned."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.output import console

if TYPE_CHECKING:
    from shoal.router.tuning import Tuner

__all__ = ["FineTune", "learning"]

FineTune = Annotated[
    bool,
    typer.Option("--fine-tune", help="Adapt the encoder to the examples first: minutes, needs shoal[train]."),
]


@contextmanager
def learning(title: str, *, fine_tune: bool) -> "Generator[Tuner | None]":
    """Gives the tuner to fit with; None = the encoder stays as packaged.

    Raises:
        ConfigError: fine-tuning is wanted, and the extra `train` is not installed.
    """
    out = console(stderr=True)
    if not fine_tune:
        with out.status(title):
            yield None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from shoal.training import ContrastiveTuner

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out) as bar:
        task = bar.add_task("fine-tuning", total=None)
        yield ContrastiveTuner(lambda done, total: bar.update(task, completed=done, total=total))
