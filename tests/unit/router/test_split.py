"""Splitting: laws that hold whatever the scores are, and what a cut has to bring."""

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM, Vectors
from shoal.router.recent import TEXTS, RecentVectors
from shoal.router.split import MAX_CHARACTERS, Scorer, split_request

TEXT = st.lists(
    st.sampled_from(
        ["block my card", "play it", "x", ", ", " and ", " and then ", ". ", "\n", " also ", "日本"]
    ),
    max_size=14,
).map("".join)


def scorer(sure: dict[str, tuple[str, float]], otherwise: tuple[str, float] = ("nobody", 0.3)) -> Scorer:
    return lambda texts: [sure.get(text, otherwise) for text in texts]


def by_hash(texts: Sequence[str]) -> list[tuple[str | None, float]]:
    """Any agent, any confidence, the same for the same text."""
    seeds = [sum(ord(char) * (i + 1) for i, char in enumerate(text)) for text in texts]
    return [(None if seed % 7 == 0 else "abc"[seed % 3], seed % 101 / 100) for seed in seeds]


@given(TEXT)
def test_parts_are_ordered_disjoint_and_inside_the_text(text: str) -> None:
    parts = split_request(text, by_hash)
    assert [part.id for part in parts] == [str(n) for n in range(1, len(parts) + 1)]
    assert all(text[part.start : part.end] == part.text for part in parts)
    edges = [edge for part in parts for edge in (part.start, part.end)]
    assert edges == sorted(edges)
    assert 0 <= edges[0] <= edges[-1] <= len(text)
    assert all(len(part.text.split()) >= 3 for part in parts) or len(parts) == 1


@given(TEXT)
def test_neighbouring_parts_go_to_different_agents(text: str) -> None:
    agents = [agent for agent, _ in by_hash([part.text for part in split_request(text, by_hash)])]
    assert all(one != other for one, other in itertools.pairwise(agents))


@given(st.text(st.characters(exclude_characters=".,;?!\naA"), max_size=60))
def test_without_a_joint_nothing_is_cut_or_scored(text: str) -> None:
    def never(texts: Sequence[str]) -> list[tuple[str | None, float]]:
        raise AssertionError(texts)

    (part,) = split_request(text, never)
    assert (part.text, part.start, part.end) == (text, 0, len(text))


def test_all_spans_are_scored_in_one_call() -> None:
    calls: list[list[str]] = []

    def score(texts: Sequence[str]) -> list[tuple[str | None, float]]:
        calls.append(list(texts))
        return [("a", 0.5)] * len(texts)

    split_request("block my card and play some jazz and wake me up", score)
    assert len(calls) == 1
    assert len(calls[0]) == len(set(calls[0])) == 6


def test_a_cut_has_to_pay_the_more_the_less_its_joint_says() -> None:
    sure = {"block my card": ("cards", 0.8), "play some jazz": ("music", 0.8)}
    for joint, parts in ((" and then ", 2), (" and ", 2), (", ", 2), (". ", 1)):
        request = f"block my card{joint}play some jazz"
        whole = {request: ("cards", 0.75)}
        assert len(split_request(request, scorer(sure | whole))) == parts, joint
        assert len(split_request(request, scorer({**sure, request: ("cards", 1.2)}))) == 1


def test_an_unsure_part_does_not_stand_alone() -> None:
    request = "block my card, you lovely people"
    sure = {"block my card": ("cards", 1.0), "you lovely people": ("music", 0.35)}
    assert len(split_request(request, scorer(sure, ("cards", 0.2)))) == 1


def test_a_letter_stays_whole() -> None:
    letter = "block my card. play some jazz. " * (MAX_CHARACTERS // 30 + 1)
    assert len(split_request(letter, by_hash)) == 1


class Counting:
    """An encoder that says how many texts it was given."""

    def __init__(self) -> None:
        self._encoder = LayeredMiniLM(threads=1)
        self.id = self._encoder.id
        self.texts = 0

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        return self._encoder.encode(texts)


def test_splitting_and_deciding_embeds_each_text_once() -> None:
    examples = [
        ("block my card", "cards"),
        ("my card is lost", "cards"),
        ("play jazz", "music"),
        ("a song", "music"),
    ]
    encoder = Counting()
    router = Router.fit(examples, encoder=encoder)
    for request, spans in (("is my card blocked", 1), ("my card is lost and then play me a song", 3)):
        before = encoder.texts
        for part in router.split(request):
            router.decide(part.text)
        assert encoder.texts - before == spans
    before = encoder.texts
    router.decide("my card is lost and then play me a song")
    assert encoder.texts == before


def test_what_is_remembered_is_what_was_encoded_and_bounded() -> None:
    encoder = Counting()
    recent = RecentVectors(encoder)
    texts = ["one", "two", "one", "x" * 500]
    assert np.array_equal(recent.encode(texts), LayeredMiniLM(threads=1).encode(texts))
    assert encoder.texts == 3
    recent.encode(["one", "x" * 500])
    assert encoder.texts == 4
    recent.encode([str(number) for number in range(TEXTS)])
    recent.encode(["one"])
    assert encoder.texts == 4 + TEXTS + 1
    assert recent.encode([]).shape == (0, encoder.encode([]).shape[1])
