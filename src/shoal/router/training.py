"""From labelled rows to a panel and a judgement: cross-fitting, then a last fit on everything."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.router.judgement import (
    Judgement,
    Verdicts,
    fit_judgement,
    likeness_judgement,
    out_of_scope_share,
    uncalibrated_judgement,
)
from shoal.router.neighbour import Neighbours
from shoal.router.panel import Evidence, Panel, fit_panel, fit_projection
from shoal.router.product import product

__all__ = [
    "ENOUGH_HELD",
    "FEW_ROWS",
    "MIN_JUDGED",
    "Fold",
    "Labelled",
    "Trained",
    "deal",
    "early_neighbours",
    "train",
]

FEW_ROWS = 3_000
FOLDS_OF_FEW, FOLDS_OF_MANY = 10, 5
"""A head fitted on 8 of 10 examples a class is visibly worse than the final one; on 80 of 100 it is not."""
MIN_JUDGED = 50
"""With fewer rows to judge by, the built-in constants are better than learnt ones."""
ENOUGH_HELD = 500
"""In-scope rows kept out of training that can stand in for the out-of-fold ones altogether."""
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
    early: Neighbours | None
    """What is known of all agents alike, where some had no row to judge by; see `early_neighbours`."""

    def weigh(self, evidence: Evidence, rows: NDArray[np.float32], agents: int) -> Verdicts:
        """Judge what the panel saw of (n, dimension) projected rows."""
        found = self.judgement.weigh(evidence, agents)
        if self.early is None:
            return found
        everybody = np.tile(np.arange(len(self.early.starts) - 1), (len(rows), 1))
        return self.judgement.hear(found, self.early.likeness(rows, everybody), agents)

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
        vectors = np.concatenate([examples.vectors, jobs.vectors])
        projection = fit_projection(vectors)
        rows = _project(vectors, projection)
        whole = pool.submit(fit_panel, rows, labels, classes, np.ones(len(labels), np.bool_))
        dealt: list[NDArray[np.bool_]] = []
        if folds is None and int((held.labels < agents).sum()) < ENOUGH_HELD:
            count = FOLDS_OF_FEW if len(examples.labels) < FEW_ROWS else FOLDS_OF_MANY
            dealt = deal(examples.labels, len(labels), seed=seed, count=count)
            if len(vectors) < vectors.shape[1]:
                folds = [Fold(out, vectors) for out in dealt]
        del vectors  # where rows are many, 2 kB each
        if folds is not None:
            parts = [(fold.out, pool.submit(_judge_apart, fold, labels, classes)) for fold in folds]
        else:
            parts = [(out, pool.submit(_judge_fold, rows, labels, classes, out)) for out in dealt]
        evidence, judged = _empty(len(labels), classes), np.zeros(len(labels), np.bool_)
        while parts:  # each is let go when it is written down
            out, part = parts.pop(0)
            evidence.put(out, part.result())
            judged |= out
        panel = whole.result()
        unseen = [evidence.rows(judged), _look(panel, _project(held.vectors, projection), classes)]
        truth = np.concatenate([labels[judged], held.labels])
        share = out_of_scope_share(held.labels, agents)
        judgement = _judge(Evidence.join(unseen), truth, agents, share)
    early = early_neighbours(panel.neighbours, judgement.unheard, len(examples.labels))
    return Trained(projection, panel, judgement, early)


def early_neighbours(known: Neighbours, unheard: Sequence[int], examples: int) -> Neighbours | None:
    """Job sentences, and what else there is of agents with no row to judge by.

    Beside thirty examples a job sentence is never the nearest; beside other job sentences it can be. Where
    the names of agents say nothing, there are only examples to compare.

    Args:
        known: Of examples, then job sentences.
        unheard: The agents with no row to judge by; if there are none, nothing is needed.
        examples: How many rows are no job sentences.
    """
    if not unheard:
        return None
    jobs = known.source >= examples
    if not jobs.any():
        return known
    classes = np.repeat(np.arange(len(known.starts) - 1), np.diff(known.starts))
    return known.only(jobs | np.isin(classes, unheard))


def _judge(evidence: Evidence, labels: NDArray[np.intp], agents: int, share: float) -> Judgement:
    known = labels[labels < agents]
    heard = len(np.unique(known))
    if heard < 2 or len(known) < MIN_JUDGED:
        return uncalibrated_judgement() if heard in (0, agents) else likeness_judgement()
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


def _judge_apart(fold: Fold, labels: NDArray[np.intp], classes: int) -> Evidence:
    """In directions found without the rows judged.

    Where rows are few, directions that were fitted to these too hold the whole of them, but of a new text
    only a part: new texts would look more typical than those judged (half a standard deviation at 200 rows).
    """
    rows = _project(fold.vectors, fit_projection(fold.vectors[~fold.out]))
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
