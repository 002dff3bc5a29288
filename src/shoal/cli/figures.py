"""Named figures for people: a line each, and notes on what stood behind them."""

from collections.abc import Iterable, Mapping
from typing import cast

from shoal.cli.output import console

__all__ = ["print_figures", "print_notes", "shown"]


def print_figures(figures: Mapping[str, object]) -> None:
    for name, value in figures.items():
        console().print(f"{name:<28} {shown(value)}", markup=False, soft_wrap=True)


def print_notes(notes: Iterable[str]) -> None:
    """On stderr: a script that reads the figures does not meet them."""
    for note in notes:
        console(stderr=True).print(f"note: {note}", markup=False, soft_wrap=True)


def shown(value: object) -> str:
    """A number at a readable precision; "?" = unknown."""
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, object]", value)
        return ", ".join(f"{name} {shown(part)}" for name, part in parts.items())
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"
    return "?" if value is None else str(value)
