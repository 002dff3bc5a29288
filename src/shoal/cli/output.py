"""What every verb does with its result: JSON on a clean stdout, or tables for people."""

import dataclasses
import json
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "AsJson",
    "console",
    "megabytes",
    "print_json",
    "print_json_line",
    "run_async",
    "seconds",
    "status_style",
    "tokens",
    "usd",
]

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
EXIT_INTERRUPTED = 130
STATUS_STYLES = {
    "accepted": "green",
    "escalated": "yellow",
    "pending": "yellow",
    "waiting": "yellow",
    "flagged": "red",
    "done": "green",
}


def print_json(value: Any) -> None:
    """One JSON document on stdout; dataclasses become objects."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def print_json_line(value: Any) -> None:
    """A dataclass as one line of JSON, its class as "event"; a reader in a pipe gets it at once."""
    document = {"event": type(value).__name__, **_plain(value)}
    typer.echo(json.dumps(document, default=_plain, ensure_ascii=False))


def console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; Ctrl-C lets the work clean up, then exits with 130."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        typer.secho("shoal: interrupted", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def seconds(value: float | None) -> str:
    """At a readable unit; "?" = unknown."""
    if value is None:
        return "?"
    if value < 0.0995:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if value < 60 else f"{value / 60:.1f} min"


def usd(value: float | None) -> str:
    """US dollars, small sums in micro-dollars; "?" = unknown."""
    if value is None:
        return "?"
    if value == 0:
        return "$0"
    return f"{value * 1e6:.2f} µ$" if value < 0.001 else f"${value:.4f}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def tokens(read: int | None, written: int | None) -> str:
    return f"{'?' if read is None else read}→{'?' if written is None else written}"


def status_style(status: str) -> str:
    return STATUS_STYLES.get(status, "")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return str(value)
