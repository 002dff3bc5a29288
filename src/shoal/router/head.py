"""A linear head on sentence embeddings: one weight vector an agent, a softmax over agents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearHead", "fit_head", "out_of_fold"]

Vectors = NDArray[np.float32]

COSINE_SCALE = 20.0
"""Makes a softmax of cosines about as sharp as a fitted head."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    weights: Vectors
    """(dimension, agents)."""
    bias: Vectors
    """(agents,)."""

    def probabilities(self, vectors: Vectors) -> Vectors:
        """(n, dimension) to (n, agents); every row sums to 1."""
        logits = vectors @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return odds / odds.sum(axis=1, keepdims=True)


def fit_head(vectors: Vectors, labels: NDArray[np.intp], agents: int) -> LinearHead:
    """Logistic regression; with a single row a class it falls back to the cosine to that row."""
    if len(vectors) <= agents:
        return LinearHead(COSINE_SCALE * _means(vectors, labels, agents), np.zeros(agents, np.float32))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=20.0, max_iter=200).fit(vectors, labels)
    weights, bias = model.coef_, model.intercept_
    if agents == 2:
        weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearHead(np.ascontiguousarray(weights.T, np.float32), bias.astype(np.float32))


def out_of_fold(vectors: Vectors, labels: NDArray[np.intp], agents: int, folds: int = 5) -> Vectors:
    """Probabilities for every row from a head that has not seen it."""
    result = np.zeros((len(vectors), agents), np.float32)
    for fold in range(folds):
        held = np.arange(len(vectors)) % folds == fold
        present = np.unique(labels[~held])
        head = fit_head(vectors[~held], np.searchsorted(present, labels[~held]), len(present))
        result[np.ix_(held, present)] = head.probabilities(vectors[held])
    return result


def _means(vectors: Vectors, labels: NDArray[np.intp], agents: int) -> Vectors:
    sums = np.zeros((agents, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray((sums / norms).T)
