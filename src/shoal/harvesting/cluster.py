"""Logged requests into candidate tasks: which agents would be worth creating, or worth specialising.

The third step of a flywheel of small models (Belcak et al. 2025, "Small Language Models are the Future of
Agentic AI"). It proposes; what a group is and whether it deserves an agent is for a person to say.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import InputError
from shoal.harvesting.grouping import group_vectors
from shoal.router.encoder import HIDDEN, Encoder
from shoal.router.example import text_key
from shoal.tracing.requests import Asked

__all__ = ["Advice", "Candidate", "Clusters", "cluster_requests"]

Advice = Literal["create", "specialise", "served"]
"""create: mostly nobody's. specialise: an agent's, too often unanswered or sent on. served: neither."""
MOST = 2_000
"""Different texts that are grouped; of more, a random part."""
STABLE = 0.6
"""Below this a group is not found again well enough to be named (Hennig 2007)."""
TROUBLE = 0.2
"""Part of an agent's requests that go wrong or cost a large call, from which it is worth specialising."""
TERMS = 4
WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A group of requests that is one task, as far as can be seen."""

    name: str
    """From its words; a person knows a better one."""
    terms: tuple[str, ...]
    """Words that tell it from the others, best first."""
    example: str
    """The request in its middle."""
    requests: int
    texts: int
    """Different ones."""
    stability: float
    """How well it is found again in subsamples, in [0, 1]."""
    agents: dict[str, int]
    """Who took them on; "" is nobody."""
    unanswered: int
    large_calls: int
    """That an agent which is always good enough would save: the most that can be."""
    large_usd: float | None
    """Of these, as far as it is known."""
    advice: Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    requests: int
    texts: int
    """Different ones."""
    grouped: int
    """Of the texts, those that were looked at."""
    silhouette: float
    """How clearly the groups are apart, in [-1, 1]; below 0.25 hardly at all."""
    candidates: tuple[Candidate, ...]
    """Most requests first."""
    unstable: int
    """Groups that were large enough, but are not found again in subsamples."""
    scattered: int
    """Requests in no candidate."""


def cluster_requests(asked: Sequence[Asked], encoder: Encoder, *, least: int = 20, seed: int = 0) -> Clusters:
    """Group requests by meaning. Some milliseconds a text, and some seconds.

    Args:
        asked: from the ledger.
        encoder: the router's; what its last layer says is compared.
        least: requests of a group that is worth naming, at least 2.
        seed: of the subsamples.

    Raises:
        InputError: there are too few requests for any group to be seen.
    """
    by_text: dict[str, list[Asked]] = {}
    for each in asked:
        by_text.setdefault(text_key(each.text), []).append(each)
    needed = 2 * least
    if len(by_text) < needed:
        raise InputError(
            "the log is too small to see tasks in it",
            why=f"{len(by_text)} different requests; groups of {least} take {needed}, better some hundreds",
            mend="come back when more was asked, or take a smaller --min",
        )
    keys = list(by_text)
    if len(keys) > MOST:
        chosen: list[int] = np.random.default_rng(seed).choice(len(keys), MOST, replace=False).tolist()
        keys = [keys[place] for place in sorted(chosen)]
    vectors = _unit(encoder.encode([by_text[key][0].text for key in keys])[:, -HIDDEN:].astype(np.float32))
    grouping = group_vectors(vectors, seed=seed)
    documents = [frozenset(WORD.findall(key)) for key in keys]
    candidates: list[Candidate] = []
    unstable = 0
    for group, stability in enumerate(grouping.stability):
        places = np.flatnonzero(grouping.labels == group)
        members = [each for place in places for each in by_text[keys[place]]]
        if len(members) < least:
            continue
        if stability < STABLE:
            unstable += 1
            continue
        middle = places[int((vectors[places] @ vectors[places].mean(axis=0)).argmax())]
        terms = _terms(documents, set(places.tolist()))
        example = by_text[keys[middle]][0].text
        candidates.append(_candidate(members, terms, example, texts=len(places), stability=stability))
    candidates.sort(key=lambda each: -each.requests)
    return Clusters(
        requests=len(asked),
        texts=len(by_text),
        grouped=len(keys),
        silhouette=grouping.silhouette,
        candidates=tuple(candidates),
        unstable=unstable,
        scattered=len(asked) - sum(each.requests for each in candidates),
    )


def _candidate(
    members: Sequence[Asked], terms: tuple[str, ...], example: str, *, texts: int, stability: float
) -> Candidate:
    agents = Counter(each.agent or "" for each in members)
    unanswered = sum(not each.accepted for each in members)
    sent_on = sum(each.large_calls > 0 for each in members)
    known = [each.large_usd for each in members if each.large_usd is not None]
    advice: Advice = "served"
    if agents[""] * 2 >= len(members):
        advice = "create"
    elif sum(each.large_calls > 0 or not each.accepted for each in members) >= TROUBLE * len(members):
        advice = "specialise"
    return Candidate(
        name="-".join(terms[:2]) or "unnamed",
        terms=terms,
        example=example,
        requests=len(members),
        texts=texts,
        stability=stability,
        agents=dict(agents.most_common()),
        unanswered=unanswered,
        large_calls=sum(each.large_calls for each in members),
        large_usd=math.fsum(known) if known or not sent_on else None,
        advice=advice,
    )


def _terms(documents: Sequence[frozenset[str]], inside: set[int]) -> tuple[str, ...]:
    """Words of many texts inside and few outside: share inside times the log of how much rarer outside."""
    within, without = Counter[str](), Counter[str]()
    for place, words in enumerate(documents):
        (within if place in inside else without).update(words)
    outside = max(1, len(documents) - len(inside))

    def score(word: str) -> float:
        share = within[word] / len(inside)
        return share * math.log(share / ((without[word] + 1) / (outside + 1)))

    ranked = sorted(within, key=lambda word: (-score(word), word))
    return tuple(word for word in ranked[:TERMS] if score(word) > 0)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
