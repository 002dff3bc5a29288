import math
from collections.abc import Mapping, Sequence

import pytest

from shoal.models.embedded_labels import walk_labels


class Model:
    """A language model over single letters: a fixed distribution after each prefix."""

    def __init__(self, chances: Mapping[str, Mapping[str, float]]) -> None:
        self._chances = chances
        self.asked: list[str] = []

    async def __call__(
        self, prefix: tuple[int, ...], candidates: Sequence[int], *, among_all: bool
    ) -> Mapping[int, float]:
        text = "".join(map(chr, prefix))
        self.asked.append(text)
        chances = self._chances[text]
        total = 1.0 if among_all else sum(chances.get(chr(token), 0.0) for token in candidates)
        return {token: chances[chr(token)] / total for token in candidates if chr(token) in chances}


def spell(*labels: str) -> dict[str, tuple[int, ...]]:
    return {label: tuple(map(ord, label)) for label in labels}


async def test_one_pass_when_the_first_tokens_differ() -> None:
    model = Model({"": {"y": 0.03, "n": 0.01, "x": 0.96}})
    assert await walk_labels(spell("yes", "no"), model) == pytest.approx({"yes": 0.75, "no": 0.25})
    assert model.asked == [""]


async def test_one_more_pass_for_each_place_where_labels_part() -> None:
    model = Model({"": {"c": 0.4, "t": 0.1}, "ca": {"r": 0.2, "t": 0.6}})
    shares = await walk_labels(spell("car", "cat", "top"), model)
    assert shares == pytest.approx({"car": 0.2, "cat": 0.6, "top": 0.2})
    assert model.asked == ["", "ca"]


async def test_a_label_that_begins_another_gets_all_that_does_not_lead_on() -> None:
    model = Model({"": {"1": 0.5, "2": 0.5}, "1": {"0": 0.3, ".": 0.6, " ": 0.1}})
    assert await walk_labels(spell("1", "10", "2"), model) == pytest.approx({"1": 0.35, "10": 0.15, "2": 0.5})


async def test_a_continuation_too_unlikely_to_be_listed_counts_as_impossible() -> None:
    model = Model({"": {"1": 0.5}, "1": {".": 1.0}})
    assert await walk_labels(spell("1", "10"), model) == {"1": 1.0, "10": 0.0}


async def test_one_label_needs_no_model() -> None:
    model = Model({})
    assert await walk_labels(spell("only"), model) == {"only": 1.0}
    assert model.asked == []


async def test_sums_to_one_in_the_order_given() -> None:
    model = Model({"": dict.fromkeys("abcdefg", 0.1)})
    shares = await walk_labels(spell(*"gfedcba"), model)
    assert list(shares) == list("gfedcba")
    assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-12)
