"""The scorers against plain, slow definitions of what they compute."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from shoal.router.gaussian import fit_gaussians
from shoal.router.linear import STRENGTH, fit_softmax, softmax
from shoal.router.neighbour import NEAREST, build_neighbours
from shoal.router.panel import fit_projection

RANDOM = np.random.default_rng(0)
LABELS = np.arange(120) % 4
CENTRES = RANDOM.normal(size=(4, 12))
SCATTERED = (CENTRES[LABELS] + RANDOM.normal(size=(120, 12))).astype(np.float32)
ROWS = SCATTERED / np.linalg.norm(SCATTERED, axis=1, keepdims=True)
ALL = np.ones(len(ROWS), np.bool_)


def test_the_linear_head_is_logistic_regression() -> None:
    head = fit_softmax(ROWS, LABELS, 4, ALL)
    theirs = LogisticRegression(C=STRENGTH, max_iter=1_000, tol=1e-6).fit(ROWS, LABELS)
    assert softmax(head.logits(ROWS)) == pytest.approx(theirs.predict_proba(ROWS), abs=0.01)


def test_rows_out_of_use_change_nothing() -> None:
    use = LABELS != 3
    head, fewer = fit_softmax(ROWS, LABELS, 4, use), fit_softmax(ROWS[use], LABELS[use], 4, ALL[use])
    assert head.weights == pytest.approx(fewer.weights, abs=1e-3)


def test_likeness_is_the_mean_cosine_of_the_nearest() -> None:
    neighbours = build_neighbours(ROWS, LABELS, 5, ALL)
    everybody = np.tile(np.arange(5), (len(ROWS), 1))
    found = neighbours.likeness(ROWS, everybody)
    cosines = ROWS @ ROWS.astype(np.float16).astype(np.float32).T
    for which in range(4):
        best = np.sort(cosines[:, which == LABELS], axis=1)[:, -NEAREST:]
        assert found[:, which] == pytest.approx(best.mean(axis=1), abs=1e-5)
    assert found[:, 4] == pytest.approx(found[:, :4].min(axis=1))  # no examples: like the least likely


def test_typicality_is_the_relative_mahalanobis_distance() -> None:
    many = np.tile(ROWS, (200, 1))  # so many that the prior counts for little
    labels = np.tile(LABELS, 200)
    found = fit_gaussians(many, labels, 4, np.ones(len(many), np.bool_)).typicality(ROWS)
    means = np.stack([ROWS[which == LABELS].mean(axis=0) for which in range(4)])
    far = squared_lengths(ROWS - ROWS.mean(axis=0), ROWS - ROWS.mean(axis=0))
    near = np.stack([squared_lengths(ROWS - mean, ROWS - means[LABELS]) for mean in means], axis=1)
    assert np.corrcoef(found.ravel(), (far[:, None] - near).ravel())[0, 1] > 0.999


def test_a_projection_keeps_inner_products() -> None:
    for rows in (ROWS, ROWS[:7]):
        vectors = rows.astype(np.float16)
        projected = vectors.astype(np.float32) @ fit_projection(vectors)
        assert projected @ projected.T == pytest.approx(rows @ rows.T, abs=5e-3)


def squared_lengths(rows: NDArray[np.float32], measured_in: NDArray[np.float32]) -> NDArray[np.float64]:
    whitened = np.linalg.solve(measured_in.T @ measured_in / len(measured_in), rows.T).T
    return np.asarray((rows * whitened).sum(axis=1), np.float64)
