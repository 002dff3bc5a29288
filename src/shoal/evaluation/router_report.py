"""A router's evaluation as a page with two pictures: can its confidence be believed, and what does
abstaining buy? Counts nothing of its own beyond the curves; the figures come from `router.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from shoal.core.errors import StorageError
from shoal.evaluation.chart import Chart, Series, draw_chart
from shoal.evaluation.router import BINS, RoutedRow

__all__ = ["ReliabilityPoint", "coverage_curve", "reliability_points", "write_report"]

RELIABILITY, COVERAGE, PAGE = "reliability.png", "coverage.png", "report.html"
MISTAKES = 15
"""Of the surest mistakes so many are shown: they are what labels or examples are best mended from."""
DOT_POINTS = (4.0, 16.0)
"""Size of the dot of a bin with hardly a row, and of one with all of them."""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;margin:2rem auto;max-width:62rem;padding:0 1rem}
td,th{padding:.15rem 1rem .15rem 0;text-align:left;vertical-align:top}
figure{display:inline-block;margin:1rem 0}
img{max-width:30rem;width:100%}figcaption{max-width:30rem;color:#475569}
"""


@dataclass(frozen=True, slots=True)
class ReliabilityPoint:
    """One bin of confidence."""

    confidence: float
    """Mean confidence of its rows."""
    accuracy: float
    """Share of its rows that are right."""
    rows: int


def reliability_points(rows: Sequence[RoutedRow], bins: int = BINS) -> tuple[ReliabilityPoint, ...]:
    """In-scope rows by confidence; bins without rows are left out."""
    grouped: dict[int, list[RoutedRow]] = {}
    for row in rows:
        if row.label is not None:
            grouped.setdefault(min(int(row.confidence * bins), bins - 1), []).append(row)
    return tuple(
        ReliabilityPoint(
            sum(row.confidence for row in group) / len(group),
            sum(row.predicted == row.label for row in group) / len(group),
            len(group),
        )
        for _, group in sorted(grouped.items())
    )


def coverage_curve(rows: Sequence[RoutedRow]) -> tuple[tuple[float, float], ...]:
    """(share of rows answered, share of those right) as the threshold falls; out of scope is never right.

    Rows of one confidence come in together: no threshold can part them.
    """
    ordered = sorted(rows, key=lambda row: -row.confidence)
    points: list[tuple[float, float]] = []
    right = 0
    for answered, row in enumerate(ordered, start=1):
        right += row.label is not None and row.predicted == row.label
        if answered == len(ordered) or ordered[answered].confidence != row.confidence:
            points.append((answered / len(ordered), right / answered))
    return tuple(points)


def write_report(rows: Sequence[RoutedRow], figures: Mapping[str, str], folder: Path) -> Path:
    """Write report.html, reliability.png and coverage.png into `folder`, made where it is missing.

    Args:
        rows: At least one.
        figures: Name to value as people read it; the table above the pictures.
        folder: Files of these names in it are replaced.

    Returns:
        Path of the page.

    Raises:
        ConfigError: matplotlib is not installed.
        StorageError: the folder cannot be written.
    """
    draw_chart(_reliability(rows), folder / RELIABILITY)
    draw_chart(_coverage(rows), folder / COVERAGE)
    table = "".join(f"<tr><td>{escape(name)}<td>{escape(value)}" for name, value in figures.items())
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Router report</title><style>{STYLE}</style>
<h1>Router report</h1>
<table>{table}</table>
<figure><img src="{RELIABILITY}" alt="reliability diagram"><figcaption>In-scope rows by confidence; a dot on
the dashed line says as much as it holds, one below promises too much. The larger, the more rows.</figcaption>
</figure>
<figure><img src="{COVERAGE}" alt="coverage and accuracy"><figcaption>Share right among the rows answered, as
the threshold falls. A row that no agent should get is never right; the dot is the router's own threshold.
</figcaption></figure>
{_mistakes(rows)}
</html>
"""
    try:
        _ = (folder / PAGE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the report to {folder}", why=str(error)) from error
    return folder / PAGE


def _reliability(rows: Sequence[RoutedRow]) -> Chart:
    points = reliability_points(rows)
    total = sum(point.rows for point in points)
    least, most = DOT_POINTS
    return Chart(
        title="Is its confidence to be believed?",
        across="confidence",
        up="share right",
        series=[
            Series(
                name="in-scope rows",
                points=[(point.confidence, point.accuracy) for point in points],
                style="dots",
                sizes=[least + (most - least) * (point.rows / total) ** 0.5 for point in points],
            )
        ],
        reference=[(0, 0), (1, 1)],
        x_range=(-0.02, 1.02),
        y_range=(-0.02, 1.02),
    )


def _coverage(rows: Sequence[RoutedRow]) -> Chart:
    curve = coverage_curve(rows)
    kept = [row for row in rows if not row.abstained]
    series = [Series(name="any threshold", points=curve)]
    if kept:
        right = sum(row.label is not None and row.predicted == row.label for row in kept)
        point = (len(kept) / len(rows), right / len(kept))
        series.append(Series(name="the router's threshold", points=[point], style="dots"))
    low = min(right for _, right in curve)
    return Chart(
        title="What does abstaining buy?",
        across="share of rows answered",
        up="share right of those",
        series=series,
        x_range=(0, 1.02),
        y_range=(max(0.0, low - 0.05), 1.005),
    )


def _mistakes(rows: Sequence[RoutedRow]) -> str:
    wrong = [row for row in rows if not row.abstained and row.predicted != row.label]
    surest = sorted(wrong, key=lambda row: -row.confidence)[:MISTAKES]
    if not surest:
        return "<p>No row went to a wrong agent."
    cells = "".join(
        f"<tr><td>{row.confidence:.2f}<td>{escape(row.predicted or '-')}<td>{escape(row.label or 'nobody')}"
        f"<td>{escape(row.text[:200])}"
        for row in surest
    )
    return (
        f"<h2>The surest of {len(wrong)} mistakes</h2>"
        f"<table><tr><th>confidence<th>went to<th>belongs to<th>text{cells}</table>"
    )
