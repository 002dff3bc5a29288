"""How right structured answers are: exact match, F1 over fields, and how sure both are.

An answer is flattened into pairs of a field's path and a value. Objects are walked through; an element of a
list is one pair, whole, under the list's path, so that a list counts per element, in any order, and as often
as an element stands in it. `null` is "not there" and no pair. A text is the one value of the path "".
Nothing is forgiven: values are equal or they are not; only texts of agents that write text may differ in
case and spacing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shoal.agents.row import canonical
from shoal.evaluation.cascade_curve import interval
from shoal.router.escalation.learn_then_test import error_bound

__all__ = [
    "Counts",
    "FieldScore",
    "RowScore",
    "Score",
    "Scores",
    "flatten",
    "plain_text",
    "score_row",
    "score_text",
    "summarise",
]

Counts = tuple[int, int, int]
"""Pairs that are right, pairs said but not expected, pairs expected but not said."""
Pair = tuple[str, str]
TAIL = 0.975
"""Of each side of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowScore:
    """How one answer did."""

    exact: bool
    valid: bool
    """It has the agent's output type."""
    counts: Mapping[str, Counts] = field(default_factory=dict[str, Counts])
    """By the name of the outermost field; "" for what is no object."""

    @property
    def total(self) -> Counts:
        return _add(self.counts.values())

    @property
    def f1(self) -> float:
        """Of this row alone, in [0, 1]; 1 where nothing was expected and nothing said."""
        return _f1(self.total) if self.valid or any(self.total) else 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """A figure and where it would fall with other rows of the same kind: 95 %, bootstrap over rows."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True)
class FieldScore:
    """F1 of one outermost field."""

    f1: Score
    expected: int
    """Pairs that the rows expect of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    exact_match: Score
    field_f1: Score
    """Micro: over the pairs of all rows together."""
    valid_output: Score
    by_field: Mapping[str, FieldScore]


def score_row(output: Any, expected: Any, *, valid: bool) -> RowScore:
    """Compare JSON with JSON. What is not `valid` said nothing: all that is expected is missing."""
    said, wanted = flatten(output) if valid else Counter[Pair](), flatten(expected)
    counts: dict[str, Counts] = {}
    for pairs, place in ((said & wanted, 0), (said - wanted, 1), (wanted - said, 2)):
        for (path, _), times in pairs.items():
            name = path.partition(".")[0]
            before = list(counts.get(name, (0, 0, 0)))
            before[place] += times
            counts[name] = (before[0], before[1], before[2])
    return RowScore(exact=valid and canonical(output) == canonical(expected), valid=valid, counts=counts)


def score_text(output: str, accepted: Sequence[str], *, valid: bool) -> RowScore:
    """Compare a text with those that will do, but for case and spacing."""
    said, wanted = plain_text(output), [plain_text(one) for one in accepted]
    return score_row(said, said if said in wanted else (wanted or [None])[0], valid=valid)


def summarise(rows: Sequence[RowScore], *, seed: int = 0) -> Scores:
    """Scores over all rows, of which there is at least one."""
    names = sorted({name for row in rows for name in row.counts})
    return Scores(
        exact_match=_share([row.exact for row in rows]),
        field_f1=_micro([row.total for row in rows], seed),
        valid_output=_share([row.valid for row in rows]),
        by_field={
            name: FieldScore(
                f1=_micro(counts := [row.counts.get(name, (0, 0, 0)) for row in rows], seed),
                expected=sum(right + missing for right, _, missing in counts),
            )
            for name in names
        },
    )


def flatten(value: Any) -> Counter[Pair]:
    """Pairs of path and value, each as often as it occurs; see the module."""
    pairs = Counter[Pair]()
    _walk(value, "", pairs)
    return pairs


def plain_text(text: object) -> str:
    """A text without differences in case and spacing."""
    return re.sub(r"\s+", " ", str(text)).strip().casefold()


def _walk(value: Any, path: str, pairs: Counter[Pair]) -> None:
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            _walk(inner, f"{path}.{_escape(name)}" if path else _escape(name), pairs)
    elif isinstance(value, list | tuple):
        pairs.update((path, canonical(element)) for element in cast("Sequence[Any]", value))
    elif value is not None:
        pairs[path, canonical(value)] += 1


def _escape(name: str) -> str:
    """Slots are called "fromloc.city_name": the dot is theirs."""
    return name.replace(".", "\\u002e")


def _add(counts: Iterable[Counts]) -> Counts:
    right = extra = missing = 0
    for more_right, more_extra, more_missing in counts:
        right, extra, missing = right + more_right, extra + more_extra, missing + more_missing
    return right, extra, missing


def _f1(counts: Sequence[float]) -> float:
    """1 where nothing was expected and nothing said."""
    right, extra, missing = counts
    return 2 * right / (2 * right + extra + missing) if right + extra + missing else 1.0


def _share(flags: Sequence[bool]) -> Score:
    """With the exact interval of Clopper & Pearson (1934): after 60 rows all right, 5 % may be wrong."""
    right, rows = sum(flags), len(flags)
    low, high = 1 - error_bound(rows - right, rows, TAIL), error_bound(right, rows, TAIL)
    return Score(right / rows, low, high, rows)


def _micro(counts: Sequence[Counts], seed: int) -> Score:
    table = np.array(counts, np.float64)
    low, high = _interval(lambda pick: _f1(table[pick].sum(0).tolist()), len(table), seed)
    return Score(_f1(table.sum(0).tolist()), low, high, len(table))


def _interval(measure: Callable[[NDArray[np.intp]], float], rows: int, seed: int) -> tuple[float, float]:
    found = interval(measure, rows, seed=seed)
    assert found is not None, "these measures are always defined"
    return found
