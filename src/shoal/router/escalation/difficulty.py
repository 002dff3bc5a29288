"""How hard a request is for one agent, read off its text before the agent is asked.

Learnt from labelled attempts: what the text looks like (`text_form.py`, `option_form.py`) and what it means
(the vector that the router has of it already). Plain numbers, kept in the agent's certificate; reading takes
a tenth of a millisecond.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.router.escalation.combiner import LinearScore, logistic_curve
from shoal.router.escalation.option_form import option_form
from shoal.router.escalation.text_form import text_form

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shoal.router.encoder import Encoder

    Matrix = NDArray[np.float64]

__all__ = ["Difficulties", "DifficultyReader", "fit_difficulty"]

FEWEST = 40
"""Texts below which nothing is learnt from them ..."""
FEWEST_EACH = 5
"""... and below so many right or so many wrong ones."""
PRIORS = {"text": 0.02, "options": 0.02, "meaning": 0.03}
"""As in `forecast.py`."""
ROWS_PER_DIRECTION, MAX_DIRECTIONS = 50, 20
"""As in `forecast.py`."""
DIGITS = 6
"""Of every number of the meaning that is kept: a certificate is read by people, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DifficultyReader:
    """Text and vector to P(the agent fails)."""

    encoder: str
    """Id of the encoder whose vectors it reads."""
    form: LinearScore
    """On the forms of the text, shared frame included: numbers that every prompt has do no harm."""
    meaning: tuple[float, ...]
    """Weights on the vector; as many as it is wide."""
    slope: float
    """Of the logistic curve through the score, which is of failing; >= 0."""
    intercept: float

    def read(self, text: str, vector: "NDArray[np.floating]") -> float:
        """P(the agent's answer is not acceptable), in (0, 1).

        Args:
            text: of the request.
            vector: (width,), of the text, by the encoder named.
        """
        import numpy as np

        score = self.form(_form(text)) + float(np.asarray(vector, np.float64) @ np.array(self.meaning))
        return _sigmoid(self.slope * score + self.intercept)


class Difficulties:
    """The readers of a team's agents, and the encoder they share: loaded when a reader needs it."""

    def __init__(self, readers: Mapping[str, DifficultyReader], encoder: "Callable[[], Encoder]") -> None:
        self._readers = readers
        self._encoder = encoder

    def read(self, agent: str, text: str) -> float | None:
        """P(the agent fails on this request); None = no reader, or one of another encoder's vectors."""
        reader = self._readers.get(agent)
        if reader is None or reader.encoder != self._encoder().id:
            return None
        return reader.read(text, self._encoder().encode([text])[0])


def fit_difficulty(
    texts: Sequence[str], acceptable: Sequence[bool], encoder: "Encoder"
) -> tuple[DifficultyReader, list[float]] | None:
    """The reader, and what each text would be given by one that has not seen its outcome.

    None where the texts do not tell: too few of them, or predictions out of fold that are no better than the
    share of failures alone.

    Args:
        texts: of requests that the agent answered.
        acceptable: whether each answer was.
        encoder: of the texts.
    """
    import numpy as np

    from shoal.router.escalation.evidence import Group, fit_evidence

    failed = 1 - np.array(acceptable, np.float64)
    rows = len(failed)
    if rows < FEWEST or min(failed.sum(), rows - failed.sum()) < FEWEST_EACH:
        return None
    vectors = encoder.encode(texts).astype(np.float64)
    middle, directions = _directions(vectors)
    forms = np.array([text_form(text) for text in texts]), np.array([option_form(text) for text in texts])
    matrices = dict(zip(PRIORS, (*forms, (vectors - middle) @ directions), strict=True))
    fit = fit_evidence(
        [Group(name=name, values=values, prior=PRIORS[name]) for name, values in matrices.items()], failed
    )
    alone = failed.var() * (rows / (rows - 1)) ** 2  # what the mean of the others would miss by
    if float(((failed - fit.out_of_fold) ** 2).mean()) >= alone:
        return None
    slope, intercept = logistic_curve(fit.out_of_fold, failed)
    if slope == 0:
        return None
    width = sum(form.shape[1] for form in forms)
    weights = directions @ (fit.weights[width:] / fit.scale[width:])
    offset = float(middle @ weights) + float(fit.weights[width:] @ (fit.mean[width:] / fit.scale[width:]))
    reader = DifficultyReader(
        encoder=encoder.id,
        form=LinearScore(
            mean=tuple(fit.mean[:width].tolist()),
            deviation=tuple(None if math.isinf(value) else value for value in fit.scale[:width].tolist()),
            weights=tuple(fit.weights[:width].tolist()),
            bias=fit.bias - offset,
        ),
        meaning=tuple(float(f"{value:.{DIGITS}g}") for value in weights.tolist()),
        slope=slope,
        intercept=intercept,
    )
    return reader, [_sigmoid(slope * value + intercept) for value in fit.out_of_fold.tolist()]


def _directions(vectors: "Matrix") -> "tuple[Matrix, Matrix]":
    """Mean (width,) of the vectors, and the directions (width, count) in which they differ most."""
    import numpy as np

    middle = vectors.mean(axis=0)
    count = max(1, min(MAX_DIRECTIONS, len(vectors) // ROWS_PER_DIRECTION))
    # Of so few rows, the small side of the matrix is quicker to take apart than the wide one.
    values, vectors_of = np.linalg.eigh((vectors - middle) @ (vectors - middle).T)
    kept = values[::-1][:count]
    left = vectors_of[:, ::-1][:, :count]
    return middle, (vectors - middle).T @ left / np.sqrt(np.maximum(kept, 1e-12))


def _form(text: str) -> list[float]:
    return [*text_form(text), *option_form(text)]


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
