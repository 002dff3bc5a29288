"""The curves of a router's report, counted by hand and held to their laws."""

from hypothesis import given
from hypothesis import strategies as st

from shoal.evaluation.router import RoutedRow
from shoal.evaluation.router_report import ReliabilityPoint, coverage_curve, reliability_points


def row(label: str | None, confidence: float) -> RoutedRow:
    return RoutedRow(text="x", label=label, predicted="a", confidence=confidence, abstained=False)


ROWS = st.lists(
    st.builds(row, st.sampled_from(["a", "b", None]), st.sampled_from([0.0, 0.3, 0.31, 0.9, 1.0])), min_size=1
)


def test_bins_hold_in_scope_rows_only() -> None:
    rows = [row("a", 0.81), row("b", 0.83), row("a", 1.0), row(None, 0.82)]
    assert reliability_points(rows, bins=5) == (ReliabilityPoint((0.81 + 0.83 + 1.0) / 3, 2 / 3, 3),)


def test_rows_of_one_confidence_come_in_together_and_out_of_scope_is_never_right() -> None:
    rows = [row("a", 0.9), row("b", 0.5), row("a", 0.5), row(None, 0.1)]
    assert coverage_curve(rows) == ((0.25, 1.0), (0.75, 2 / 3), (1.0, 0.5))


@given(ROWS)
def test_the_curve_ends_at_all_rows_answered(rows: list[RoutedRow]) -> None:
    curve = coverage_curve(rows)
    right = sum(one.label == "a" for one in rows)
    assert curve[-1] == (1.0, right / len(rows))
    assert [share for share, _ in curve] == sorted({share for share, _ in curve})
    assert all(0 <= accuracy <= 1 for _, accuracy in curve)
    assert curve == coverage_curve(rows[::-1])
    points = reliability_points(rows)
    assert sum(point.rows for point in points) == sum(one.label is not None for one in rows)
    assert all(0 <= point.confidence <= 1 for point in points)
