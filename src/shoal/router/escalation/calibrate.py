"""Labelled attempts to a certificate.

The rows are divided once: on some the combiner is fitted and the thresholds are chosen, on the others the
promise is tested. Which row goes where depends on its key alone, so that the same rows give the same
certificate in whatever order they come.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shoal.core.decision import Signals
from shoal.core.errors import InputError
from shoal.router.escalation.certificate import Certificate, Digests
from shoal.router.escalation.combiner import Combiner, fit_combiner
from shoal.router.escalation.difficulty import DifficultyReader, fit_difficulty
from shoal.router.escalation.fault import find_fault
from shoal.router.escalation.learn_then_test import Promise, divide, error_bound, rows_needed, seek_promise

if TYPE_CHECKING:
    from shoal.router.encoder import Encoder

__all__ = ["LabelledAttempt", "calibrate", "read_difficulty"]

NEVER = -1.0
"""Below every threshold: the confidence of an answer that the certificate does not speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAttempt:
    """One attempt of the agent, and whether a person or grader accepted it."""

    key: str
    """The input text: rows with the same key are the same row."""
    signals: Signals
    acceptable: bool
    large_acceptable: bool | None = None
    """Whether the large model's answer to the same input was acceptable; None = it was not asked."""


def calibrate(
    agent: str,
    rows: Sequence[LabelledAttempt],
    *,
    max_error: float,
    level: float = 0.95,
    digests: Digests | None = None,
    reader: DifficultyReader | None = None,
) -> Certificate:
    """Find the loosest threshold that can be promised to keep at most `max_error` wrong answers.

    Too few rows, or signals that tell nothing: the certificate comes with threshold None and says how many
    rows would do. About a second for 500 rows.

    Args:
        agent: whose attempts these are.
        rows: a random sample of what the agent will meet; each key once.
        max_error: share of wrong answers among those kept, in (0, 1).
        level: probability that the promise holds, in (0, 1).
        digests: of the agent as it made the attempts.
        reader: that read the difficulty in the rows' signals (`read_difficulty`), kept for later requests.

    Raises:
        InputError: fewer than two rows, or a row that occurs twice.
    """
    _check(agent, rows)
    fitted, tested = divide(rows, lambda row: row.key)
    combiner, confidences = _fit([row for row in fitted if not _faulty(row)])
    wrong = [not row.acceptable for row in fitted]
    known = iter(confidences)
    fitted_scores = [NEVER if _faulty(row) else next(known) for row in fitted]
    tested_scores = [_confidence(row, combiner) for row in tested]
    tested_wrong = [not row.acceptable for row in tested]
    promise = seek_promise(tested_scores, tested_wrong, max_error=max_error, level=level)
    scores, faults = fitted_scores + tested_scores, wrong + tested_wrong
    needed = None
    if promise is None:
        needed = rows_needed(scores, faults, max_error=max_error, level=level)
    low, high = _interval(promise, len(tested), level)
    return Certificate(
        agent=agent,
        threshold=promise.threshold if promise else None,
        max_error=max_error,
        level=level,
        rows_fitted=len(fitted),
        rows_tested=len(tested),
        kept=promise.kept if promise else 0,
        wrong=promise.wrong if promise else 0,
        error_bound=promise.bound if promise else None,
        share_local=promise.kept / len(tested) if promise else 0.0,
        share_low=low,
        share_high=high,
        rows_needed=needed,
        combiner=combiner,
        digests=digests or Digests(),
        reader=reader,
    )


def read_difficulty(
    rows: Sequence[LabelledAttempt], encoder: "Encoder"
) -> tuple[list[LabelledAttempt], DifficultyReader | None]:
    """The rows with the difficulty of their requests, and its reader; None where the texts do not tell.

    It is fitted on the rows that `calibrate` fits on; these get what a reader without their own outcome says,
    so that no difficulty knows of the answer it is weighed for.
    """
    fitted, _ = divide(rows, lambda row: row.key)
    found = fit_difficulty([row.key for row in fitted], [row.acceptable for row in fitted], encoder)
    if found is None:
        return list(rows), None
    reader, unseen = found
    known = {row.key: value for row, value in zip(fitted, unseen, strict=True)}
    others = [row.key for row in rows if row.key not in known]
    vectors = encoder.encode(others)
    known |= {text: reader.read(text, vector) for text, vector in zip(others, vectors, strict=True)}
    return [replace(row, signals=replace(row.signals, difficulty=known[row.key])) for row in rows], reader


def _check(agent: str, rows: Sequence[LabelledAttempt]) -> None:
    if len(rows) < 2:
        raise InputError(
            f"{agent} has {len(rows)} labelled rows",
            why="a promise rests on counted answers",
            mend="label some: an input and the expected output a row",
        )
    twice = [key for key, times in Counter(row.key for row in rows).items() if times > 1]
    if twice:
        raise InputError(
            f"{len(twice)} labelled rows occur more than once, first {twice[0][:60]!r}",
            why="a row that is fitted on and tested on makes the promise false",
            mend="remove the duplicates",
        )


def _fit(rows: Sequence[LabelledAttempt]) -> tuple[Combiner, list[float]]:
    # With faults only there is nothing to learn; one unacceptable attempt stands for them.
    attempts = [row.signals for row in rows] or [Signals()]
    acceptable = [row.acceptable for row in rows] or [False]
    large = [row.large_acceptable for row in rows if row.large_acceptable is not None]
    return fit_combiner(attempts, acceptable, large if rows and len(large) == len(rows) else None)


def _faulty(row: LabelledAttempt) -> bool:
    return find_fault(row.signals, None) is not None


def _confidence(row: LabelledAttempt, combiner: Combiner) -> float:
    # A run judges an answer that lacks a required signal without the certificate (`Policy.judge`): such a row
    # is none of those the promise speaks of.
    if _faulty(row) or combiner.missing(row.signals):
        return NEVER
    return combiner.confidence(row.signals)


def _interval(promise: Promise | None, tested: int, level: float) -> tuple[float, float]:
    """Clopper-Pearson interval of the share kept."""
    kept = promise.kept if promise else 0
    two_sided = (1 + level) / 2
    return 1 - error_bound(tested - kept, tested, two_sided), error_bound(kept, tested, two_sided)
