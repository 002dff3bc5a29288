"""A cascade on labelled rows: what the small model may keep, and how well the rest is chosen.

Learns on the training rows and is judged on the test rows. Of the training rows, some fit the confidence and
the others, untouched by the fit, test which threshold can be promised (`learn_then_test.py`); the order of
escalation promises nothing and is learnt from all of them.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import InputError
from shoal.evaluation.cascade_curve import (
    apgr,
    auroc,
    calibration_error,
    calls_to_close,
    gain_curve,
    interval,
    oracle_scores,
)
from shoal.retrieval.embedder import Embedder
from shoal.router.escalation.forecast import Forecast, fit_forecast
from shoal.router.escalation.learn_then_test import divide, explain_shortfall, rows_needed, seek_promise
from shoal.router.escalation.reader import CascadeRow

__all__ = ["Baseline", "CascadeReport", "Interval", "Judged", "evaluate_cascade", "refuse_shared_rows"]

Vector = NDArray[np.float64]
Interval = tuple[float, float] | None
"""95 %, bootstrap over the test rows; None = cannot be told."""

USELESS_BELOW = 0.6
"""A confidence with an AUROC below this, or one that could be chance, hardly orders anything."""
REPEATS = 3
"""Rows that both parts may share, as a multiple of what the training rows' own repetitions explain ..."""
MOST_SHARED = 0.1
"""... and never more of the different test rows than this: of a file that holds each row twice, its own
repetitions would explain any overlap. Of 1,382 MMLU questions about 1.5 % are asked twice."""
FEWEST = 10
"""Different training rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a simpler way would have given on the same rows."""

    accuracy: float | None
    accuracy_interval: Interval
    apgr: float | None = None
    apgr_interval: Interval = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeReport:
    """None = cannot be told from these rows."""

    apgr: float | None
    cpt50: float | None
    cpt80: float | None
    auroc: float | None
    """Of the confidence, for "the small model is right"."""
    ece: float
    share_local: float
    error_local: float | None
    """Share of wrong answers among those kept; None = none was kept."""
    certified: bool
    threshold: float | None
    """Least confidence of an answer that is kept; None = nothing is promised, so nothing is kept."""
    cost_vs_large: float | None
    """Cost of the cascade as a multiple of asking the large model alone."""
    accuracy: float | None
    baselines: dict[str, Baseline]
    """small, large, random, raw_confidence, oracle. Where they choose, they escalate as many rows as the
    cascade did."""
    intervals: dict[str, Interval]
    """Of apgr, auroc, share_local, accuracy."""
    notes: tuple[str, ...]
    """What a person should know about these numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What becomes of one test row."""

    score: float
    """Higher = escalate first."""
    confidence: float
    """P(the small model is right)."""
    local: bool
    """Kept: its confidence reaches the certified threshold."""


def evaluate_cascade(
    train: Sequence[CascadeRow],
    test: Sequence[CascadeRow],
    embedder: Embedder,
    *,
    max_error: float = 0.05,
    level: float = 0.95,
) -> tuple[CascadeReport, tuple[Judged, ...]]:
    """The report, and a judgement of every test row in order.

    Args:
        train: rows to learn from and to test the promise on.
        test: rows to judge.
        embedder: of the prompts.
        max_error: share of wrong answers among those kept that is to be ruled out, in (0, 1).
        level: how surely, in (0, 1).

    Raises:
        InputError: fewer than ten different training rows that the test rows do not ask as well, no test
            row, or rows that are in both.
    """
    _refuse_too_few(len({row.key for row in train}), len(test))
    notes = list(refuse_shared_rows(train, test))
    asked = {row.key for row in test}
    learnt = [row for row in train if row.key not in asked]
    _refuse_too_few(len({row.key for row in learnt}), len(test))
    scores, _ = fit_forecast(learnt, embedder).judge(test)
    threshold, forecast, note = _certify(learnt, embedder, max_error, level)
    notes += note
    _, confidences = forecast.judge(test)
    local = np.zeros(len(test), np.bool_) if threshold is None else confidences >= threshold
    report = _report(test, scores, confidences, local, threshold, notes)
    judged = zip(scores.tolist(), confidences.tolist(), local.tolist(), strict=True)
    return report, tuple(Judged(score=s, confidence=c, local=kept) for s, c, kept in judged)


def refuse_shared_rows(train: Sequence[CascadeRow], test: Sequence[CascadeRow]) -> tuple[str, ...]:
    """Notes about prompts that both parts ask; what was learnt from must not be tested on.

    Real data ask some things twice. That much is left out of the training; more means that one part was
    copied into the other.

    Raises:
        InputError: identical rows in both, more than the training rows' own repetitions explain.
    """
    # Different rows are counted: a row that is there a hundred times explains no more than one there twice.
    mine, theirs = Counter(map(_identity, train)), {_identity(row): row.prompt for row in test}
    shared = [prompt for identity, prompt in theirs.items() if identity in mine]
    repeated = sum(times > 1 for times in mine.values())
    if len(shared) > len(theirs) * min(MOST_SHARED, REPEATS * 2 * repeated / len(mine)):
        raise InputError(
            f"{len(shared)} test rows are training rows, first {shared[0][:60]!r}",
            why="what was learnt from cannot be tested on",
            mend="remove them from one of the files",
        )
    asked = {row.key for row in test}
    known = sum(row.key in asked for row in train)
    if not known:
        return ()
    return (f"{known} training rows were left out: the test rows ask the same.",)


def _identity(row: CascadeRow) -> str:
    outcomes = [None if one is None else one.model_dump() for one in (row.small, row.large)]
    return json.dumps([row.key, outcomes, row.peers])


def _refuse_too_few(train: int, test: int) -> None:
    if train < FEWEST or not test:
        raise InputError(
            f"{train} different training rows and {test} test rows",
            why=f"at least {FEWEST} and 1 are needed, not counting what both parts ask",
            mend="label more prompts",
        )


def _certify(
    rows: Sequence[CascadeRow], embedder: Embedder, max_error: float, level: float
) -> tuple[float | None, Forecast, list[str]]:
    # A copy is no further draw: counted as one, it would make the promise look surer than it is. The first of
    # them stays, whatever came of it: a choice by the outcome would bend what is counted.
    different = list({row.key: row for row in reversed(rows)}.values())[::-1]
    notes: list[str] = []
    if copies := len(rows) - len(different):
        notes.append(f"{copies} repeated rows count once: a promise rests on different ones.")
    fitted, tested = divide(different, lambda row: row.key)
    forecast = fit_forecast(fitted, embedder)
    judged, faults = forecast.judge(tested)[1].tolist(), [not row.small.correct for row in tested]
    promise = seek_promise(judged, faults, max_error=max_error, level=level)
    if promise is not None:
        return promise.threshold, forecast, notes
    needed = rows_needed(judged, faults, max_error=max_error, level=level)
    promised = f"at most {max_error:.0%} errors, {level:.0%} sure"
    shortfall = explain_shortfall(rows=len(different), needed=needed)
    return None, forecast, [*notes, f"Nothing is promised ({promised}): {shortfall}."]


def _report(
    test: Sequence[CascadeRow],
    scores: Vector,
    confidences: Vector,
    local: NDArray[np.bool_],
    threshold: float | None,
    notes: list[str],
) -> CascadeReport:
    right = np.array([row.small.correct for row in test])
    both = np.array([row.large is not None for row in test])
    small = right[both].astype(np.float64)
    large = np.array([float(row.large.correct) for row in test if row.large is not None])
    if not both.all():
        notes.append(
            f"{int((~both).sum())} test rows lack the large model: they count for the confidence only."
        )
    curve = gain_curve(scores[both], small, large)
    closes = curve is not None and large.mean() > small.mean()
    if both.any() and not closes:
        notes.append(
            "The large model is no better than the small one here: there is nothing to escalate for."
        )
    baselines = _baselines(
        [row for row, has in zip(test, both, strict=True) if has], small, large, local[both]
    )
    intervals = {
        "apgr": _interval(lambda pick: apgr(scores[both][pick], small[pick], large[pick]), len(small)),
        "auroc": _interval(lambda pick: auroc(confidences[pick], right[pick]), len(right)),
        "share_local": _interval(lambda pick: float(local[pick].mean()), len(right)),
        "accuracy": _interval(
            lambda pick: _accuracy(local[both][pick], small[pick], large[pick]), len(small)
        ),
    }
    notes += _useless(test, right)
    return CascadeReport(
        apgr=apgr(scores[both], small, large),
        cpt50=calls_to_close(curve, 0.5) if curve is not None and closes else None,
        cpt80=calls_to_close(curve, 0.8) if curve is not None and closes else None,
        auroc=auroc(confidences, right),
        ece=calibration_error(confidences, right),
        share_local=float(local.mean()),
        error_local=float(1 - right[local].mean()) if local.any() else None,
        certified=threshold is not None,
        threshold=threshold,
        cost_vs_large=_cost(test, local),
        accuracy=_accuracy(local[both], small, large),
        baselines=baselines,
        intervals=intervals,
        notes=tuple(notes),
    )


def _baselines(
    rows: Sequence[CascadeRow], small: Vector, large: Vector, local: NDArray[np.bool_]
) -> dict[str, Baseline]:
    share = float(local.mean()) if len(local) else 0.0
    raw = _raw_scores(rows)
    return {
        "small": _fixed(small),
        "large": _fixed(large),
        "random": Baseline(
            accuracy=float((share * small + (1 - share) * large).mean()) if len(small) else None,
            accuracy_interval=_interval(
                lambda pick: float((share * small[pick] + (1 - share) * large[pick]).mean()), len(small)
            ),
            apgr=0.5 if len(small) and small.mean() != large.mean() else None,
        ),
        "raw_confidence": _ordered(raw, small, large, share),
        "oracle": _ordered(oracle_scores(small, large), small, large, share),
    }


def _fixed(right: Vector) -> Baseline:
    return Baseline(
        accuracy=float(right.mean()) if len(right) else None,
        accuracy_interval=_interval(lambda pick: float(right[pick].mean()), len(right)),
    )


def _ordered(scores: Vector | None, small: Vector, large: Vector, share: float) -> Baseline:
    if scores is None or not len(small):
        return Baseline(accuracy=None, accuracy_interval=None)
    kept = np.zeros(len(scores), np.bool_)
    kept[np.argsort(scores, kind="stable")[: round(share * len(scores))]] = True
    return Baseline(
        accuracy=_accuracy(kept, small, large),
        accuracy_interval=_interval(lambda pick: _accuracy(kept[pick], small[pick], large[pick]), len(small)),
        apgr=apgr(scores, small, large),
        apgr_interval=_interval(lambda pick: apgr(scores[pick], small[pick], large[pick]), len(small)),
    )


def _raw_scores(rows: Sequence[CascadeRow]) -> Vector | None:
    """The small model's doubt as it gave it; where it gave none, as doubtful as any. None = nowhere given."""
    values = [row.small.confidence for row in rows]
    known = [value for value in values if value is not None]
    if not known:
        return None
    return np.array([-min(known) if value is None else -value for value in values])


def _accuracy(local: NDArray[np.bool_], small: Vector, large: Vector) -> float | None:
    return float(np.where(local, small, large).mean()) if len(small) else None


def _cost(rows: Sequence[CascadeRow], local: NDArray[np.bool_]) -> float | None:
    spent = alone = 0.0
    for row, kept in zip(rows, local, strict=True):
        large = row.large.cost_usd if row.large is not None else None
        if row.small.cost_usd is None or large is None:
            return None
        spent += row.small.cost_usd + (0.0 if kept else large)
        alone += large
    return spent / alone if alone > 0 else None


def _useless(test: Sequence[CascadeRow], right: NDArray[np.bool_]) -> list[str]:
    raw = _raw_scores(test)
    if raw is None:
        return ["The rows have no confidence of the small model: it is judged by the prompts alone."]
    value = auroc(-raw, right)
    around = _interval(lambda pick: auroc(-raw[pick], right[pick]), len(right))
    if value is None or around is None or (value >= USELESS_BELOW and around[0] > 0.5):
        return []
    told = f"AUROC {value:.2f}, 95 % interval {around[0]:.2f} to {around[1]:.2f}"
    return [f"The small model's own confidence is close to useless here: {told}."]


def _interval(measure: Callable[[NDArray[np.intp]], float | None], rows: int) -> Interval:
    return interval(measure, rows) if rows else None
