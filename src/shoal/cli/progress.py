"""A bar for downloads: bytes of bytes, and the time left."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["download_bar"]


@contextmanager
def download_bar(title: str, out: "Console") -> Generator[Callable[[int, int | None], None]]:
    """Gives a function to call with bytes done and bytes in all (None = unknown)."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
