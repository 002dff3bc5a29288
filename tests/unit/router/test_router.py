import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.errors import ConfigError
from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM, Vectors

from .conftest import WordEncoder

JOBS = {
    "orders": "Say where a parcel is and when an order arrives.",
    "billing": "Answer questions about invoices, payments and refunds.",
    "travel": "Book flights, trains and hotels.",
}
EXAMPLES = [
    ("where is my parcel?", "orders"),
    ("has my order been shipped yet", "orders"),
    ("the delivery never came", "orders"),
    ("when will the package arrive", "orders"),
    ("why was i charged twice?", "billing"),
    ("send me the invoice for march", "billing"),
    ("i want my money back", "billing"),
    ("can i pay by bank transfer", "billing"),
    ("find me a hotel in lisbon", "travel"),
    ("i need a flight to oslo on friday", "travel"),
    ("book a train from berlin to prague", "travel"),
    ("is there a later plane", "travel"),
]
ROWS = st.lists(
    st.tuples(st.text("abc ", max_size=8), st.sampled_from(["one", "two", "three", None])), max_size=40
).filter(lambda rows: any(agent and text.strip() for text, agent in rows))


@pytest.fixture(scope="module")
def router(minilm: LayeredMiniLM) -> Router:
    return Router.fit(EXAMPLES, jobs=JOBS, encoder=minilm)


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("my package has not arrived", "orders"),
        ("please refund the last payment", "billing"),
        ("a room for two in rome", "travel"),
        ("what is the boiling point of lead", None),
        ("tell me a joke about penguins", None),
    ],
)
def test_a_text_goes_to_the_agent_it_is_meant_for_or_to_nobody(
    router: Router, text: str, agent: str | None
) -> None:
    assert router.decide(text).agent == agent


def test_a_decision_is_explained_by_the_examples_nearest_to_it(router: Router) -> None:
    nearest = router.decide("where is my parcel").nearest
    assert (nearest[0].text, nearest[0].agent) == ("where is my parcel?", "orders")
    assert [one.similarity for one in nearest] == sorted((one.similarity for one in nearest), reverse=True)
    assert {one.text for one in nearest} <= {text for text, _ in EXAMPLES}


def test_without_any_example_the_job_sentences_decide(minilm: LayeredMiniLM) -> None:
    router = Router.fit(jobs=JOBS, encoder=minilm)
    assert router.decide("I need a hotel and a flight").best == "travel"
    assert router.decide("my invoice is wrong, refund the payment").best == "billing"
    assert not router.decide("a hotel").calibrated
    assert router.decide("a hotel").nearest == ()
    assert router.report.without_examples == tuple(sorted(JOBS))


def test_an_agent_with_nothing_but_a_job_is_found_among_agents_with_examples(minilm: LayeredMiniLM) -> None:
    rows = [row for row in EXAMPLES if row[1] != "travel"]
    router = Router.fit(rows, jobs=JOBS, encoder=minilm)
    assert router.decide("book me a hotel and a flight").best == "travel"
    assert router.report.without_examples == ("travel",)


@pytest.mark.parametrize("heard", [("orders",), ("billing", "orders")])
def test_many_examples_of_some_agents_do_not_silence_the_others(
    heard: tuple[str, ...], minilm: LayeredMiniLM
) -> None:
    things = {
        "orders": ("parcel", "order", "delivery", "package"),
        "billing": ("invoice", "bill", "refund", "fee"),
    }
    asks = (
        "where is my {}",
        "i never got the {}",
        "the {} is wrong",
        "when will my {} come",
        "cancel the {}",
    )
    rows = [
        (ask.format(thing) + end, agent)
        for agent in heard
        for ask in asks
        for thing in things[agent]
        for end in ("", " today", ", please")
    ]
    jobs = JOBS | {"weather": "Forecast rain, sun, wind and temperature."}
    router = Router.fit(rows, jobs=jobs, encoder=minilm)
    for text, agent in (
        ("book me a hotel and a flight", "travel"),
        ("which train goes to prague", "travel"),
        ("will it rain tomorrow", "weather"),
        ("how strong is the wind", "weather"),
        ("where is my parcel", "orders"),
    ):
        assert router.decide(text).agent == agent
    assert router.decide("quantum chromodynamics on a lattice").agent is None


def test_one_example_is_enough_to_answer(minilm: LayeredMiniLM) -> None:
    router = Router.fit([("where is my parcel?", "orders")], encoder=minilm)
    assert router.decide("where is my parcel").agent == "orders"
    assert router.decide("quantum chromodynamics on a lattice").agent is None


def test_one_agent_alone_still_abstains(minilm: LayeredMiniLM) -> None:
    rows = [row for row in EXAMPLES if row[1] == "orders"]
    router = Router.fit(rows, encoder=minilm)
    assert router.agents == ("orders",)
    assert router.decide("has the parcel been shipped").agent == "orders"
    assert router.decide("what is the boiling point of lead").agent is None


@pytest.mark.parametrize(
    "text",
    [
        "📦" * 40,
        "أين الطرد الخاص بي؟",
        "איפה החבילה שלי",
        "我的包裹在哪里",
        "\x00\x1b[31m",
        "\ud800 half a pair",
        "?",
        "parcel " * 150_000,
        "x" * 1_000_000,
    ],
)
def test_any_text_is_decided(router: Router, text: str) -> None:
    decision = router.decide(text)
    assert decision.confidence is not None
    assert 0.0 <= decision.confidence <= 1.0


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_text_is_nobodys_and_its_confidence_unknown(router: Router, text: str) -> None:
    decision = router.decide(text)
    assert (decision.agent, decision.best, decision.confidence) == (None, None, None)


def test_the_end_of_a_long_text_is_read_too(router: Router) -> None:
    letter = "Dear all, " + "I hope that you are well. " * 4_000
    shares = [
        router.decide(letter + end).scores for end in ("", " where is my parcel, my order, my delivery?")
    ]
    assert shares[1]["orders"] > shares[0]["orders"]


def test_labels_that_are_no_agents_are_named_with_the_mend(words: WordEncoder) -> None:
    with pytest.raises(ConfigError, match="labels that are no agents") as caught:
        _ = Router.fit([*EXAMPLES, ("a", "cargo"), ("b", "cargo")], jobs=JOBS, encoder=words)
    assert "cargo (2 rows)" in str(caught.value.why)
    assert "null" in str(caught.value.mend)
    with pytest.raises(ConfigError, match="labels that are no agents"):
        _ = Router.fit(EXAMPLES, validation=[("a", "cargo")], encoder=words)


def test_nothing_to_route_to_is_an_error(words: WordEncoder) -> None:
    with pytest.raises(ConfigError, match="at least one agent"):
        _ = Router.fit([("a text", None)], encoder=words)


def test_duplicates_and_contradictions_are_reported(words: WordEncoder) -> None:
    rows = [*EXAMPLES, ("Where is  my parcel?", "orders"), ("the delivery never came", None), (" ", "travel")]
    report = Router.fit(rows, encoder=words).report
    assert report.examples == len(EXAMPLES) + 1
    assert report.duplicates == ("where is my parcel?",)
    assert [(one.text, set(one.agents)) for one in report.contradictions] == [
        ("the delivery never came", {"orders", None})
    ]
    assert report.blank == 1
    assert len(report.lines()) == 3


def test_validation_rows_that_are_examples_are_left_out_and_named(words: WordEncoder) -> None:
    rows = [
        (f"{verb} the {thing} {i}", thing) for verb in "abcdef" for thing in ("cup", "bag") for i in "xyzuv"
    ]
    plain = Router.fit(rows, encoder=words)
    shown = Router.fit(rows, validation=[*rows, ("A the  cup x", None)], encoder=words)
    assert shown.decide("b the cup") == plain.decide("b the cup")
    assert set(shown.report.validation_seen) == {text for text, _ in rows} | {"A the  cup x"}
    assert "among the examples" in " ".join(shown.report.lines())
    assert plain.report.lines() == ()


class Broken(WordEncoder):
    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.full((len(texts), 32), np.nan, np.float16)


def test_vectors_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ConfigError, match="not numbers"):
        _ = Router.fit(EXAMPLES, encoder=Broken())


def test_vectors_that_stop_being_numbers_are_refused_too(words: WordEncoder, tmp_path: Path) -> None:
    Router.fit(EXAMPLES, encoder=words).save(tmp_path)
    with pytest.raises(ConfigError, match="not numbers"):
        _ = Router.load(tmp_path, encoder=Broken()).decide("a")


@settings(max_examples=25, deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.text("abc ", min_size=1, max_size=8))
def test_the_order_of_examples_does_not_matter(
    rows: list[tuple[str, str | None]], random: Random, text: str
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = (Router.fit(each, encoder=WordEncoder()) for each in (rows, shuffled))
    assert one.decide(text) == other.decide(text)
    assert one.report == other.report


@settings(max_examples=25, deadline=None)
@given(ROWS, st.text("abcd ", min_size=1, max_size=12))
def test_confidence_and_scores_are_probabilities(rows: list[tuple[str, str | None]], text: str) -> None:
    decision = Router.fit(rows, encoder=WordEncoder()).decide(text)
    if decision.confidence is None:
        return
    assert 0.0 <= decision.confidence <= 1.0
    assert all(0.0 <= score <= 1.0 for score in decision.scores.values())
    assert sum(decision.scores.values()) <= 1.0 + 1e-6
    assert decision.best is not None
    assert decision.confidence == decision.scores[decision.best] == max(decision.scores.values())


PROGRAM = """
import json, sys
from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM
rows = [(f"{verb} {thing} {time}", thing) for thing in ("parcel", "invoice", "flight", "loan")
        for verb in ("where is my", "i want a", "cancel the", "pay for the")
        for time in ("now", "today", "at noon", "?")]
router = Router.fit(rows, encoder=LayeredMiniLM(threads=int(sys.argv[1])), seed=3)
texts = ["a parcel for me", "the loan, please", "penguins", "cancel my plane"]
print(json.dumps([[d.agent, d.calibrated, dict(d.scores)] for d in map(router.decide, texts)]))
"""


def test_the_number_of_threads_does_not_matter() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM, threads],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert said[0] == said[1]
    assert json.loads(said[0])[0][:2] == ["parcel", True]
