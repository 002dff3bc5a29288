"""How well a router sends labelled requests: right agent, honest abstention, calibrated confidence.

Pure measuring: it is handed a router, asks it row by row (as a user would, so that latency means something)
and counts. How the router came to be is the router's business.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import InputError
from shoal.core.port import RoutePort
from shoal.router.example import Example

__all__ = [
    "Latency",
    "RoutedRow",
    "RouterScore",
    "auroc",
    "calibration_error",
    "check_labels",
    "macro_f1",
    "route_rows",
    "score_rows",
]

BINS = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedRow:
    text: str
    label: str | None
    """None = out of scope."""
    predicted: str | None
    """The best agent, also where the router abstained; None = it has no opinion (an empty text)."""
    confidence: float
    """In [0, 1]; 0 where the router has no opinion."""
    abstained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds of one decision, its embedding included."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterScore:
    """Shares in [0, 1]. None = the rows cannot tell (no out-of-scope row, nothing abstained...)."""

    accuracy: float | None
    """In-scope rows whose best agent is right, abstentions ignored."""
    accuracy_with_abstention: float | None
    """All rows: in scope sent to the right agent, out of scope abstained."""
    macro_f1: float | None
    """Mean F1 over the labels in the rows, out of scope (predicted by abstaining) being one of them."""
    oos_auroc: float | None
    """Chance that an out-of-scope row has a lower confidence than an in-scope one."""
    oos_recall: float | None
    oos_precision: float | None
    in_scope_rejected: float | None
    """In-scope rows abstained on."""
    ece: float | None
    """Expected calibration error over the in-scope rows."""


def check_labels(labels: Iterable[str | None], agents: Sequence[str]) -> tuple[str, ...]:
    """Labels that are no agents, sorted: their rows can only be wrong.

    Raises:
        InputError: there are no rows, or labels but not one agent among them.
    """
    labels = list(labels)
    if not labels:
        raise InputError("there are no rows to test on", mend='write {"text": ..., "label": ...} lines')
    given = {label for label in labels if label is not None}
    foreign = sorted(given - set(agents))
    if foreign and len(foreign) == len(given):
        raise InputError(
            f"no test label was in the training rows: {', '.join(foreign[:5])}",
            why=f"training knows {', '.join(agents[:5])}{', ...' if len(agents) > 5 else ''}",
            mend="give --train and --test files of the same labels (null = out of scope)",
        )
    return tuple(foreign)


def route_rows(router: RoutePort, rows: Iterable[Example]) -> tuple[tuple[RoutedRow, ...], Latency]:
    """Decide every row, one at a time, as requests come."""
    routed: list[RoutedRow] = []
    taken_s: list[float] = []
    for row in rows:
        started = time.perf_counter()
        decision = router.decide(row.text)
        taken_s.append(time.perf_counter() - started)
        routed.append(
            RoutedRow(
                text=row.text,
                label=row.agent,
                predicted=decision.best,
                confidence=decision.confidence or 0.0,
                abstained=decision.abstained,
            )
        )
    p50, p95 = np.percentile(taken_s, [50, 95]) * 1000 if taken_s else (0.0, 0.0)
    return tuple(routed), Latency(p50=float(p50), p95=float(p95))


def score_rows(rows: Sequence[RoutedRow]) -> RouterScore:
    """Count."""
    confidence = np.array([row.confidence for row in rows], np.float64)
    in_scope = np.array([row.label is not None for row in rows], np.bool_)
    right = np.array([row.predicted == row.label for row in rows], np.bool_) & in_scope
    abstained = np.array([row.abstained for row in rows], np.bool_)
    accepted_right = np.where(in_scope, right & ~abstained, abstained)
    return RouterScore(
        accuracy=_share(right[in_scope]),
        accuracy_with_abstention=_share(accepted_right),
        macro_f1=macro_f1([(row.label, None if row.abstained else row.predicted) for row in rows]),
        oos_auroc=auroc(-confidence, ~in_scope),
        oos_recall=_share(abstained[~in_scope]),
        oos_precision=_share(~in_scope[abstained]) if not in_scope.all() else None,
        in_scope_rejected=_share(abstained[in_scope]),
        ece=calibration_error(confidence[in_scope], right[in_scope]),
    )


def auroc(scores: Values, positive: Flags) -> float | None:
    """Area under the ROC curve: chance that a positive scores above a negative, ties counting half."""
    if positive.all() or not positive.any():
        return None
    _, rank_of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2
    positives, negatives = int(positive.sum()), int((~positive).sum())
    above = middle_rank[rank_of][positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def calibration_error(confidence: Values, right: Flags, bins: int = BINS) -> float | None:
    """Expected calibration error: mean gap between confidence and share right, over equal-width bins."""
    if not len(confidence):
        return None
    which = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(which, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def macro_f1(pairs: Sequence[tuple[str | None, str | None]]) -> float | None:
    """Mean F1 over the labels that occur in `(label, predicted)`; None is a label like the others."""
    labels = sorted({label for label, _ in pairs}, key=lambda label: (label is None, label or ""))
    return float(np.mean([_f1(pairs, label) for label in labels])) if labels else None


def _f1(pairs: Sequence[tuple[str | None, str | None]], label: str | None) -> float:
    hits = sum(true == label == predicted for true, predicted in pairs)
    given = sum(predicted == label for _, predicted in pairs)
    there = sum(true == label for true, _ in pairs)
    return 2 * hits / (given + there)


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None
