import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shoal.harvesting.grouping import group_vectors


def blobs(
    sizes: list[int], *, spread: float, width: int = 32, seed: int = 0
) -> tuple[NDArray[np.float32], list[int]]:
    random = np.random.default_rng(seed)
    rows: list[NDArray[np.float64]] = []
    labels: list[int] = []
    for label, size in enumerate(sizes):
        centre = random.normal(size=width)
        rows += [
            centre / np.linalg.norm(centre) + spread * random.normal(size=width) / width**0.5
            for _ in range(size)
        ]
        labels += [label] * size
    vectors = np.array(rows)
    order = random.permutation(len(vectors))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit[order].astype(np.float32), [labels[place] for place in order]


@pytest.mark.parametrize("sizes", [[30, 30], [60, 10, 25], [20] * 7])
def test_groups_that_are_apart_are_found_without_saying_how_many(sizes: list[int]) -> None:
    vectors, labels = blobs(sizes, spread=0.6)
    found = group_vectors(vectors)
    assert len({*zip(found.labels.tolist(), labels, strict=True)}) == len(sizes)
    assert len(found.stability) == len(sizes)
    assert min(found.stability) > 0.95
    assert found.silhouette > 0.4


def test_where_nothing_is_grouped_nothing_is_found_again() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(200, 64))
    found = group_vectors((noise / np.linalg.norm(noise, axis=1, keepdims=True)).astype(np.float32))
    large = [share for group, share in enumerate(found.stability) if np.sum(found.labels == group) >= 20]
    assert all(share < 0.6 for share in large)
    assert found.silhouette < 0.1


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 24), st.integers(1, 4), st.integers(0, 99))
def test_any_rows_can_be_grouped_equal_ones_too(count: int, different: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    few = random.normal(size=(different, 8)).astype(np.float32)
    vectors = (few / np.linalg.norm(few, axis=1, keepdims=True))[random.integers(0, different, count)]
    found = group_vectors(vectors, seed=seed)
    assert len(found.labels) == count
    assert sorted(set(found.labels.tolist())) == list(range(len(found.stability)))
    again = group_vectors(vectors, seed=seed)
    assert (again.labels.tolist(), again.stability) == (found.labels.tolist(), found.stability)
