"""Who will be right? Learnt from a cascade's rows: P(small right), and what the large model would add.

Every kind of evidence is a group of features whose weight the data choose (`evidence.py`), so that a few
hundred rows are enough: the model's confidence, the looks of its answer, the looks of the prompt, and the
prompt's meaning (an embedding). A row without a confidence or an answer is judged before the call, by its
prompt alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.retrieval.embedder import Embedder
from shoal.router.escalation.combiner import logistic_curve
from shoal.router.escalation.evidence import EvidenceFit, Group, fit_evidence
from shoal.router.escalation.option_form import CHOICE_FEATURES, choice_form, option_form
from shoal.router.escalation.reader import CascadeRow
from shoal.router.escalation.text_form import ANSWER_FEATURES, answer_form, text_form
from shoal.router.escalation.tool_form import tool_form

__all__ = ["Forecast", "fit_forecast"]

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

PRIORS = {
    "confidence": 0.15,
    "effort": 0.01,
    "answer": 0.02,
    "choice": 0.02,
    "text": 0.03,
    "options": 0.03,
    "tools": 0.05,
    "meaning": 0.05,
}
"""Per kind of evidence, the share of the outcome's variance it is expected to explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Fitted on some rows, for others like them."""

    embedder: Embedder
    frame: tuple[str, str]
    """Beginning and end that all prompts share: they tell nothing about one of them."""
    scale: Vector
    """Confidences of the rows it was fitted on, ascending: a confidence counts by its rank among them."""
    right: EvidenceFit
    slope: float
    intercept: float
    benefit: EvidenceFit | None
    """None = no row had the large model's outcome."""
    out_of_fold: Vector
    """Confidence of each row it was fitted on, from a fit without that row."""

    def confidences(self, rows: Sequence[CascadeRow]) -> Vector:
        """Calibrated P(small right) of each row, in (0, 1)."""
        return _sigmoid(self.slope * self.right.predict(self._features(rows)) + self.intercept)

    def scores(self, rows: Sequence[CascadeRow]) -> Vector:
        """What the large model is expected to add to each row, higher = escalate first."""
        if self.benefit is None:
            return 1 - self.confidences(rows)
        return self.benefit.predict(self._features(rows))

    def _features(self, rows: Sequence[CascadeRow]) -> list[Matrix]:
        return list(features(rows, self.frame, self.scale, self.embedder).values())


def fit_forecast(rows: Sequence[CascadeRow], embedder: Embedder) -> Forecast:
    """Fit on at least one row."""
    frame = shared_frame([row.prompt for row in rows])
    known = [row.small.confidence for row in rows if row.small.confidence is not None]
    scale = np.sort(np.array(known, np.float64))
    matrices = features(rows, frame, scale, embedder)
    small = np.array([row.small.correct for row in rows], np.float64)
    right = fit_evidence(_groups(matrices), small)
    slope, intercept = logistic_curve(right.out_of_fold, small)
    asked = [number for number, row in enumerate(rows) if row.large is not None]
    benefit = None
    if asked:
        gain = np.array([float(row.large.correct) for row in rows if row.large is not None]) - small[asked]
        benefit = fit_evidence(_groups({name: matrix[asked] for name, matrix in matrices.items()}), gain)
    return Forecast(
        embedder=embedder,
        frame=frame,
        scale=scale,
        right=right,
        slope=slope,
        intercept=intercept,
        benefit=benefit,
        out_of_fold=_sigmoid(slope * right.out_of_fold + intercept),
    )


def features(
    rows: Sequence[CascadeRow], frame: tuple[str, str], scale: Vector, embedder: Embedder
) -> dict[str, Matrix]:
    prompts = [strip_frame(row.prompt, frame) for row in rows]
    pairs = [(prompt, row.small.answer or "") for prompt, row in zip(prompts, rows, strict=True)]
    return {
        "confidence": np.array([_confidence(row.small.confidence, scale) for row in rows]),
        "effort": np.array([_effort(row) for row in rows]),
        "answer": np.array(
            [answer_form(answer, p) if answer else [0.0] * ANSWER_FEATURES for p, answer in pairs]
        ),
        "choice": np.array(
            [choice_form(p, answer) if answer else [0.0] * CHOICE_FEATURES for p, answer in pairs]
        ),
        "text": np.array([text_form(prompt) for prompt in prompts]),
        "options": np.array([option_form(prompt) for prompt in prompts]),
        "tools": np.array([tool_form(row.prompt, row.functions) for row in rows]),
        "meaning": embedder.embed(prompts).astype(np.float64),
    }


def shared_frame(prompts: Sequence[str]) -> tuple[str, str]:
    """Longest beginning and end that all prompts have in common; none for a single prompt."""
    if len(prompts) < 2:
        return "", ""
    head = _common_start(prompts)
    return head, _common_start([prompt[len(head) :][::-1] for prompt in prompts])[::-1]


def strip_frame(prompt: str, frame: tuple[str, str]) -> str:
    head, tail = frame
    return prompt.removeprefix(head).removesuffix(tail)


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    return first[
        : next(
            (at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
        )
    ]


def _sigmoid(value: Vector) -> Vector:
    return 1 / (1 + np.exp(-np.clip(value, -60, 60)))


def _groups(matrices: dict[str, Matrix]) -> list[Group]:
    return [Group(name=name, values=values, prior=PRIORS[name]) for name, values in matrices.items()]


def _confidence(value: float | None, scale: Vector) -> list[float]:
    """As a normal deviate of its rank, that squared (sureness may mislead), and whether it was there."""
    if value is None or not len(scale):
        return [0.0, 0.0, 0.0]
    below, upto = np.searchsorted(scale, value, "left"), np.searchsorted(scale, value, "right")
    rank = (float(below + upto) / 2 + 0.5) / (len(scale) + 1)
    deviate = _probit(rank)
    return [deviate, deviate**2, 1.0]


def _probit(rank: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(min(1 - 1e-6, max(1e-6, rank)))


def _effort(row: CascadeRow) -> list[float]:
    return [
        math.log(value) if value is not None and math.isfinite(value) and value > 0 else 0.0
        for value in (row.small.latency_ms, row.small.cost_usd)
    ]
