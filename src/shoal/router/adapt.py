"""An encoder tuned to the examples, and what to judge it by.

A tuned encoder has seen the labels of its own examples: it is surer of them than it will be of anything else.
So confidence and threshold are learnt on rows as encoders see them that were tuned without those rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.router.encoder import LayeredMiniLM
from shoal.router.training import FEW_ROWS, MIN_JUDGED, Fold, deal
from shoal.router.tuning import Tuner, Tuning

__all__ = ["adapt_encoder"]

FOLDS = 5


def adapt_encoder(
    tuner: Tuner, texts: Sequence[str], labels: NDArray[np.intp], *, judged: int, seed: int
) -> tuple[Tuning, list[Fold]]:
    """Tune on everything, and once more for each fold without it.

    Args:
        tuner: What learns.
        texts: Examples, then job sentences.
        labels: Of the texts; -1 = out of scope.
        judged: The first so many rows are dealt into folds; too few of them, and there are no folds.
        seed: See `Tuner.tune`.
    """
    enough = judged >= MIN_JUDGED
    folds = deal(labels[:judged], len(texts), seed=seed, count=FOLDS) if enough else []
    if judged >= FEW_ROWS:
        folds = folds[:1]  # a fifth of many rows is enough to judge by, and tuning takes its minutes
    everything = np.ones(len(texts), np.bool_)
    whole, *partial = tuner.tune(texts, labels, [everything, *(~out for out in folds)], seed=seed)
    seen = [
        Fold(out, LayeredMiniLM(tuning).encode(texts)) for out, tuning in zip(folds, partial, strict=True)
    ]
    return whole, seen
