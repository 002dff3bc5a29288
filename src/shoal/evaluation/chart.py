"""Measurements as pictures: lines, steps and dots in one plain frame, so that every page looks alike.

The one file that draws with matplotlib, which comes with the extra `charts`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shoal.core.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Chart", "Series", "draw_chart"]

SIZE_INCHES = (6.4, 4.2)
PIXELS_PER_INCH = 110
COLOURS = ("#1d4ed8", "#d97706", "#047857", "#b91c1c", "#6d28d9", "#475569")
"""Told apart also by people who see no red or green: dark and light take turns."""
INK, GRID = "#1f2937", "#e5e7eb"

Style = Literal["line", "step", "dots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One set of points, (x, y) each; `step` holds y until the next x."""

    name: str
    points: Sequence[tuple[float, float]]
    style: Style = "line"
    sizes: Sequence[float] = ()
    """Of dots, in points; none = all alike."""
    band: Sequence[tuple[float, float]] = ()
    """(low, high) around each point, drawn as a shade (lines) or as whiskers (dots)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A frame and what is in it."""

    title: str
    across: str
    up: str
    series: Sequence[Series]
    reference: Sequence[tuple[float, float]] = ()
    """A dashed line to compare with, such as the diagonal of a reliability diagram."""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False


def draw_chart(chart: Chart, path: Path) -> None:
    """Write the chart; the suffix says how (.png or .svg).

    Raises:
        ConfigError: matplotlib is not installed, a value is not a number, or a point lacks its band or size.
        StorageError: the file cannot be written.
    """
    _check(chart)
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "pictures need matplotlib", why=str(error), mend='pip install "shoal[charts]"'
        ) from error

    # No pyplot: its global state would keep every figure alive.
    figure = Figure(figsize=SIZE_INCHES, dpi=PIXELS_PER_INCH, layout="constrained")
    _ = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _draw_frame(axes, chart)
    for number, series in enumerate(chart.series):
        _draw_series(axes, series, COLOURS[number % len(COLOURS)])
    if len(chart.series) > 1:
        _ = axes.legend(frameon=False, fontsize=9)
    # No date and no random ids inside: the same numbers give the same file.
    metadata: dict[str, str | None] = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "shoal"}):
            figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise StorageError(f"cannot write {path}", why=str(error)) from error


def _check(chart: Chart) -> None:
    for series in chart.series:
        if not all(math.isfinite(value) for point in series.points for value in point):
            raise ConfigError(
                f"{series.name!r} of {chart.title!r} cannot be drawn",
                why="a value is NaN or infinite",
                mend="leave such points out, and say that they are missing",
            )
        for extra in (series.band, series.sizes):
            if extra and len(extra) != len(series.points):
                raise ConfigError(
                    f"{series.name!r} of {chart.title!r} cannot be drawn",
                    why=f"{len(series.points)} points, but {len(extra)} bands or sizes",
                    mend="give one for each point, or none",
                )


def _draw_frame(axes: "Axes", chart: Chart) -> None:
    _ = axes.set_title(chart.title, fontsize=11, color=INK, loc="left")
    _ = axes.set_xlabel(chart.across)
    _ = axes.set_ylabel(chart.up)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    if chart.x_range:
        _ = axes.set_xlim(*chart.x_range)
    if chart.y_range:
        _ = axes.set_ylim(*chart.y_range)
    if chart.reference:
        across, up = zip(*chart.reference, strict=True)
        _ = axes.plot(across, up, color=INK, linewidth=1, linestyle="--")


def _draw_series(axes: "Axes", series: Series, colour: str) -> None:
    across = [x for x, _ in series.points]
    up = [y for _, y in series.points]
    if series.style == "dots":
        if series.band:
            low = [y - bottom for (bottom, _), y in zip(series.band, up, strict=True)]
            high = [top - y for (_, top), y in zip(series.band, up, strict=True)]
            _ = axes.errorbar(across, up, yerr=(low, high), fmt="none", ecolor=colour, linewidth=1)
        sizes = [size**2 for size in series.sizes] or 36.0
        _ = axes.scatter(across, up, s=sizes, color=colour, alpha=0.8, label=series.name)
        return
    if series.band:
        low, high = zip(*series.band, strict=True)
        _ = axes.fill_between(across, low, high, color=colour, alpha=0.15, linewidth=0)
    how = "steps-post" if series.style == "step" else "default"
    _ = axes.plot(across, up, color=colour, linewidth=1.8, drawstyle=how, label=series.name)
