"""Who will be right? Learnt from a cascade's rows: P(small right), and what the large model would add.

Every kind of evidence is a group of features whose weight the data choose (`evidence.py`), so that a few
hundred rows are enough: the model's confidence, the looks of its answer, the looks of the prompt, and the
prompt's meaning (an embedding). A row without a confidence or an answer is judged before the call, by its
prompt alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np
from numpy.typing import NDArray

from shoal.retrieval.embedder import Embedder
from shoal.router.escalation.combiner import logistic_curve
from shoal.router.escalation.evidence import EvidenceFit, Group, fit_evidence
from shoal.router.escalation.option_form import choice_form, option_form
from shoal.router.escalation.reader import CascadeRow
from shoal.router.escalation.text_form import ANSWER_FEATURES, answer_form, text_form
from shoal.router.escalation.tool_form import tool_form

__all__ = ["Forecast", "fit_forecast"]

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

PRIORS = {
    "confidence": 0.15,
    "bend": 0.02,
    "effort": 0.01,
    "answer": 0.02,
    "choice": 0.02,
    "text": 0.02,
    "options": 0.02,
    "tools": 0.05,
    "meaning": 0.03,
}
"""Per kind of evidence, the share of the outcome's variance it is expected to explain."""
ROWS_PER_DIRECTION = 50
"""The meaning of prompts counts in as many directions (principal components) as there are rows for ..."""
MAX_DIRECTIONS = 20
"""... and not in more than this: the further ones told of single prompts."""
BENEFIT_ROWS = 240
"""With this many rows, the benefit counts half in the score and mere doubt half. The large model errs
seldom, so what it cannot do is learnt late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How rows become features; learnt without looking at an outcome."""

    embedder: Embedder
    frame: tuple[str, str]
    """Beginning and end that all prompts share: they tell nothing about one of them."""
    scale: Vector
    """Confidences of the rows it was fitted on, ascending: a confidence counts by its rank among them."""
    middle: Vector
    """(dimension,) mean embedding of the prompts."""
    directions: Matrix
    """(dimension, directions) in which the prompts differ most."""

    def features(self, rows: Sequence[CascadeRow]) -> dict[str, Matrix]:
        """Kind of evidence to (rows, features)."""
        prompts = [strip_frame(row.prompt, self.frame) for row in rows]
        plain = np.array([[0.0] if row.functions else [1.0] for row in rows])
        answers = [row.small.answer or "" for row in rows]
        pairs = list(zip(prompts, answers, strict=True))
        sureness = np.array([_confidence(row.small.confidence, self.scale) for row in rows])
        return {
            "confidence": sureness,
            "bend": sureness[:, :1] ** 2,
            "effort": np.array([_effort(row) for row in rows]),
            "answer": np.array([answer_form(a, p) if a else [0.0] * ANSWER_FEATURES for p, a in pairs]),
            "choice": np.array([choice_form(p, a) for p, a in pairs]),
            "text": plain * np.array([text_form(prompt) for prompt in prompts]),
            "options": plain * np.array([option_form(prompt) for prompt in prompts]),
            "tools": np.array([tool_form(row.prompt, row.functions) for row in rows]),
            "meaning": plain * ((self.embedder.embed(prompts) - self.middle) @ self.directions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Fitted on some rows, for others like them."""

    reading: Reading
    right: EvidenceFit
    slope: float
    intercept: float
    benefit: EvidenceFit | None
    """P(large right) - P(small right); None = no row had the large model's outcome."""
    trust: float
    """Weight of the benefit in the score, in [0, 1]; the rest is doubt."""
    out_of_fold: Vector
    """Confidence of each row it was fitted on, from a fit without that row."""

    def judge(self, rows: Sequence[CascadeRow]) -> tuple[Vector, Vector]:
        """Scores, higher = escalate first, and calibrated P(small right) in (0, 1), of each row."""
        features = list(self.reading.features(rows).values())
        right = self.right.predict(features)
        scores = -right
        if self.benefit is not None:
            scores = (1 - self.trust) * -right + self.trust * self.benefit.predict(features)
        return scores, _sigmoid(self.slope * right + self.intercept)


def fit_forecast(rows: Sequence[CascadeRow], embedder: Embedder) -> Forecast:
    """Fit on at least one row.

    Where rows tell how other models fared, these count for as much as the small one's own outcome: a
    single bit a row tells little of how hard it is.
    """
    reading = fit_reading(rows, embedder)
    features = reading.features(rows)
    small = np.array([row.small.correct for row in rows], np.float64)
    ease = np.array([fmean(row.peers) if row.peers else float(row.small.correct) for row in rows])
    right = fit_evidence(_groups(features), (small + ease) / 2)
    slope, intercept = logistic_curve(right.out_of_fold, small)
    asked = [number for number, row in enumerate(rows) if row.large is not None]
    benefit = None
    if asked:
        gain = np.array([float(row.large.correct) for row in rows if row.large is not None]) - small[asked]
        benefit = fit_evidence(_groups({name: matrix[asked] for name, matrix in features.items()}), gain)
    return Forecast(
        reading=reading,
        right=right,
        slope=slope,
        intercept=intercept,
        benefit=benefit,
        trust=len(asked) / (len(asked) + BENEFIT_ROWS),
        out_of_fold=_sigmoid(slope * right.out_of_fold + intercept),
    )


def fit_reading(rows: Sequence[CascadeRow], embedder: Embedder) -> Reading:
    """What the prompts and confidences of the rows have in common."""
    frame = shared_frame([row.prompt for row in rows])
    known = [row.small.confidence for row in rows if row.small.confidence is not None]
    vectors = embedder.embed([strip_frame(row.prompt, frame) for row in rows]).astype(np.float64)
    middle = vectors.mean(axis=0)
    count = max(1, min(MAX_DIRECTIONS, len(rows) // ROWS_PER_DIRECTION))
    directions = np.linalg.svd(vectors - middle, full_matrices=False)[2][:count].T
    return Reading(
        embedder=embedder,
        frame=frame,
        scale=np.sort(np.array(known, np.float64)),
        middle=middle,
        directions=directions,
    )


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
    """The normal deviate of its rank, and whether it was there."""
    if value is None or not len(scale):
        return [0.0, 0.0]
    below, upto = np.searchsorted(scale, value, "left"), np.searchsorted(scale, value, "right")
    return [NormalDist().inv_cdf((float(below + upto) / 2 + 0.5) / (len(scale) + 1)), 1.0]


def _effort(row: CascadeRow) -> list[float]:
    return [
        math.log(value) if value is not None and math.isfinite(value) and value > 0 else 0.0
        for value in (row.small.latency_ms, row.small.cost_usd)
    ]
