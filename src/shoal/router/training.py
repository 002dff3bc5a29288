"""From labelled rows to a panel and a judgement: cross-fitting, then a last fit on everything."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.judgement import Judgement, fit_judgement, out_of_scope_share, uncalibrated_judgement
from shoal.router.panel import Evidence, Panel, fit_panel, fit_projection
from shoal.router.product import product

__all__ = ["ENOUGH_HELD", "FEW_ROWS", "MIN_JUDGED", "Fold", "Labelled", "Trained", "deal", "train"]

FEW_ROWS = 3_000
FOLDS_OF_FEW, FOLDS_OF_MANY = 10, 5
"""A head fitted on 8 of 10 examples a class is visibly worse than the final one; on 80 of 100 it is not."""
MIN_JUDGED = 50
"""With fewer rows to judge by, the built-in constants are better than learnt ones."""
ENOUGH_HELD = 500
"""Rows kept out of training that can stand in for the out-of-fold ones altogether."""
CHUNK = 2_048


@dataclass(frozen=True, slots=True)
class Labelled:
    """Encoded texts and their classes; the class after the last agent is "out of scope"."""

    vectors: NDArray[np.float16]
    """(n, width)."""
    labels: NDArray[np.intp]
    """(n,)."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to judge on, as seen by an encoder that was not tuned on them."""

    out: NDArray[np.bool_]
    """(n,): the rows, among the examples and then the job sentences."""
    vectors: NDArray[np.float16]
    """(n, width): of all rows, those that the fold's own panel is fitted on included."""


@dataclass(frozen=True, slots=True)
class Trained:
    projection: NDArray[np.float32]
    """(width, dimension)."""
    panel: Panel
    judgement: Judgement

    def project(self, vectors: NDArray[np.float16]) -> NDArray[np.float32]:
        """(n, width) to (n, dimension), where the panel looks."""
        return product(vectors.astype(np.float32), self.projection)


def train(
    examples: Labelled,
    jobs: Labelled,
    held: Labelled,
    *,
    agents: int,
    seed: int,
    folds: Sequence[Fold] | None = None,
) -> Trained:
    """Fit.

    Args:
        examples: What users said.
        jobs: Job sentences: learnt from like examples, never judged on.
        held: Rows that are judged on only.
        agents: Classes that are agents.
        seed: Deals the examples into folds.
        folds: Those to judge on, where the encoder has seen the examples' labels.
    """
    from threadpoolctl import threadpool_limits

    labels = np.concatenate([examples.labels, jobs.labels])
    classes = max(agents, int(labels.max()) + 1)
    # One thread inside each product, several fits side by side: as fast, and the same on any machine.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        projection = fit_projection(np.concatenate([examples.vectors, jobs.vectors]))
        rows = np.concatenate([_project(part.vectors, projection) for part in (examples, jobs)])
        whole = pool.submit(fit_panel, rows, labels, classes, np.ones(len(labels), np.bool_))
        if folds is None:
            count = FOLDS_OF_FEW if len(examples.labels) < FEW_ROWS else FOLDS_OF_MANY
            few_held = len(held.labels) < ENOUGH_HELD
            dealt = deal(examples.labels, len(labels), seed=seed, count=count) if few_held else []
            parts = [(out, pool.submit(_judge_fold, rows, labels, classes, out)) for out in dealt]
        else:
            parts = [(fold.out, pool.submit(_judge_tuned_fold, fold, labels, classes)) for fold in folds]
        evidence, judged = _empty(len(labels), classes), np.zeros(len(labels), np.bool_)
        for out, part in parts:
            evidence.put(out, part.result())
            judged |= out
        panel = whole.result()
        unseen = [evidence.rows(judged), _look(panel, _project(held.vectors, projection), classes)]
        truth = np.concatenate([labels[judged], held.labels])
        share = out_of_scope_share(held.labels, agents)
        judgement = _judge(Evidence.join(unseen), truth, agents, share)
    return Trained(projection, panel, judgement)


def _judge(evidence: Evidence, labels: NDArray[np.intp], agents: int, share: float) -> Judgement:
    if agents < 2 or int((labels < agents).sum()) < MIN_JUDGED:
        return uncalibrated_judgement()
    # A label of `held` may be "out of scope" without there being such a class in training.
    return fit_judgement(evidence, labels, agents, share)


def deal(labels: NDArray[np.intp], rows: int, *, seed: int, count: int) -> list[NDArray[np.bool_]]:
    """Which of `rows` rows each fold leaves out of training, each class spread evenly.

    Rows beyond the labelled ones stay in training, and so does a class's only row: out of fold nobody could
    get it right.
    """
    random = np.random.default_rng(seed)
    folds = np.full(rows, -1)
    for which in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == which))
        if len(members) > 1:
            folds[members] = (np.arange(len(members)) + random.integers(count)) % count
    return [folds == fold for fold in range(count) if (folds == fold).any()]


def _judge_fold(
    rows: NDArray[np.float16], labels: NDArray[np.intp], classes: int, out: NDArray[np.bool_]
) -> Evidence:
    return _look(fit_panel(rows, labels, classes, ~out), rows[out], classes)


def _judge_tuned_fold(fold: Fold, labels: NDArray[np.intp], classes: int) -> Evidence:
    rows = _project(fold.vectors, fit_projection(fold.vectors))
    return _judge_fold(rows, labels, classes, fold.out)


def _look(panel: Panel, rows: NDArray[np.float16], classes: int) -> Evidence:
    """In pieces, kept as float16."""
    seen = _empty(len(rows), classes)
    for at in range(0, len(rows), CHUNK):
        seen.put(slice(at, at + CHUNK), panel.look(rows[at : at + CHUNK].astype(np.float32)))
    return seen


def _empty(count: int, classes: int) -> Evidence:
    return Evidence(*(np.zeros((count, classes), np.float16) for _ in range(3)))


def _project(vectors: NDArray[np.float16], projection: NDArray[np.float32]) -> NDArray[np.float16]:
    """In pieces, kept as float16."""
    rows = np.empty((len(vectors), projection.shape[1]), np.float16)
    for at in range(0, len(vectors), CHUNK):
        rows[at : at + CHUNK] = product(vectors[at : at + CHUNK].astype(np.float32), projection)
    return rows
