"""What is left out of rows, and that nothing is left out silently."""

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from shoal import Agent, Verbatim
from shoal.agents.row import Row, parse_rows
from shoal.core.errors import InputError
from shoal.curation.curate import Curated, curate
from shoal.curation.duplicates import near_pairs
from shoal.curation.splitting import split
from shoal.curation.template import template_of

NAMES = [
    a + b for a in ("Ann", "Bob", "Eve", "Zoe", "Tim") for b in ("a", "berg", "son", "ski", "ton", "ley")
]
MOULDS = [
    "please send order {} to {}",
    "where did you leave my parcel {}? {} here",
    "{} was never delivered, says {}",
    "hello, this is about number {}; regards, {}",
    "i would like to give back {} because it is broken. {}",
    "cancel {} at once! {}",
]


class Order(BaseModel):
    order_id: str
    name: str | None = None


ORDERS = Agent("orders", job="Read an order.", model="embedded:smollm2:135m", output=Order, max_tokens=60)
WRITER = Agent("writer", job="Answer.", model="embedded:smollm2:135m")


def rows(values: list[dict[str, Any]]) -> tuple[Row, ...]:
    return parse_rows(enumerate(values, start=1))


def good(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Different orders in six moulds, distinct from one another."""
    draw = random.Random(seed)
    made: list[dict[str, Any]] = []
    for n in range(count):
        number, name = f"{draw.choice('ABCDEF')}{n}{draw.randrange(1000)}", draw.choice(NAMES)
        text = draw.choice(MOULDS).format(number, name)
        made.append({"input": text, "expected": {"order_id": number, "name": name}})
    return made


def reasons(curated: Curated) -> dict[int, str]:
    return {one.number: one.reason for one in curated.report.removed}


def test_good_rows_are_kept_as_the_agent_would_say_them() -> None:
    given = good(40)
    del given[0]["expected"]["name"]
    found = curate(rows(given), ORDERS)
    assert len(found.rows) == found.report.kept == 40
    assert found.report.removed == ()
    assert found.rows[0].expected == {"order_id": given[0]["expected"]["order_id"], "name": None}


class Song(BaseModel):
    artist: Verbatim


def test_quotes_are_learnt_as_they_stand_in_the_text_and_others_not_at_all() -> None:
    agent = Agent("songs", job="Read.", model="embedded:smollm2:135m", output=Song)
    given = [{"input": f"put {name.upper()} on", "expected": {"artist": name}} for name in NAMES]
    found = curate(rows([*given, {"input": "put it on", "expected": {"artist": "Abba"}}]), agent)
    assert [row.expected["artist"] for row in found.rows] == [name.upper() for name in NAMES]
    assert reasons(found) == {len(NAMES) + 1: "does not fit"}


@pytest.mark.parametrize(
    ("extra", "reason", "count"),
    [
        ([{"input": "order X", "expected": {"id": "X"}}], "does not fit", 1),
        ([{"input": "order X", "expected": None}], "does not fit", 1),
        ([{"input": "order X", "expected": " "}], "empty answer", 1),
        ([{"input": "order X", "expected": {"order_id": "X" * 1_000_000}}], "too long", 1),
        ([{"input": "order X " * 100_000, "expected": {"order_id": "X"}}], "too long", 1),
        (
            [
                {"input": "order  X", "expected": {"order_id": "X"}},
                {"input": "Order X", "expected": {"order_id": "Y"}},
            ],
            "contradiction",
            2,
        ),
        (
            [
                {"input": "order  X", "expected": {"order_id": "X"}},
                {"input": "Order x", "expected": {"order_id": "x"}},
            ],
            "duplicate",
            1,
        ),
        (
            [
                {
                    "input": "i have a question that is about my order X of last week",
                    "expected": {"order_id": "X"},
                },
                {
                    "input": "i have a question that is about my order X of last week!",
                    "expected": {"order_id": "X"},
                },
            ],
            "near duplicate",
            1,
        ),
        (
            [
                {
                    "input": "order X",
                    "expected": {"order_id": "X"},
                    "samples": [{"order_id": "Y"}, {"order_id": "X"}, {}],
                }
            ],
            "teacher disagrees",
            1,
        ),
    ],
)
def test_every_row_left_out_is_named_with_its_reason(
    extra: list[dict[str, Any]], reason: str, count: int
) -> None:
    found = curate(rows(good(30) + extra), ORDERS)
    last = list(range(31 + len(extra) - count, 31 + len(extra)))
    assert reasons(found) == dict.fromkeys(last, reason)
    assert all(one.detail for one in found.report.removed)
    assert found.report.given == found.report.kept + len(found.report.removed)
    assert f"{count} {reason}" in found.report.lines()[0]


def test_alike_with_another_answer_is_what_has_to_be_told_apart() -> None:
    pair = [
        {"input": "i have a question that is about my order X1 of last week", "expected": {"order_id": "X1"}},
        {"input": "i have a question that is about my order X2 of last week", "expected": {"order_id": "X2"}},
    ]
    assert len(curate(rows(good(30) + pair), ORDERS).rows) == 32


def test_rows_of_the_test_are_left_out_and_shared_templates_counted() -> None:
    given = good(40)
    same = {"input": f" {given[4]['input'].upper()}", "expected": {"order_id": "?"}}
    like = {"input": "cancel Q9 at once! Ann", "expected": {"order_id": "Q9", "name": "Ann"}}
    found = curate(rows(given), ORDERS, test=rows([same, like]))
    assert reasons(found) == {5: "in test"}
    moulds = sum(row["input"].startswith("cancel") for n, row in enumerate(given) if n != 4)
    assert found.report.shared_templates == moulds > 0


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (good(5), "5 rows are too few"),
        ([{"input": f"text {n}", "expected": {"order_id": "A"}} for n in range(50)], "same answer"),
        ([{"input": f"text {n}", "expected": 3} for n in range(50)], "0 rows are too few"),
    ],
)
def test_what_nobody_could_learn_from_is_refused_with_the_reasons(
    values: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        curate(rows(values), ORDERS)


def test_classes_are_counted_and_rare_ones_named() -> None:
    values = [
        {"input": row["input"], "expected": "yes" if n % 10 else "no"} for n, row in enumerate(good(40))
    ]
    report = curate(rows(values), WRITER).report
    assert report.classes == {"": {"yes": 36, "no": 4}}
    assert any('answer "no"' in note for note in report.notes)


def test_agreement_of_the_teacher_is_told() -> None:
    given = good(30)
    given[0]["samples"] = [given[0]["expected"], given[0]["expected"], {"order_id": "?"}]
    assert curate(rows(given), ORDERS).report.agreement == pytest.approx(2 / 3)
    assert curate(rows(good(30)), ORDERS).report.agreement is None


def test_thirteen_thousand_rows_take_seconds() -> None:
    given = rows(good(13_000))
    before = time.process_time()
    found = curate(given, ORDERS)
    parts = split(found.rows)
    assert len(parts.train) + len(parts.gate) == len(found.rows)
    assert time.process_time() - before < 20


def test_the_mould_of_a_row_names_what_was_filled_in() -> None:
    expected = {"slots": {"artist": ["ABBA"], "number": ["2"]}, "intent": "play"}
    assert template_of("Play  2 songs by abba, at 10:15", expected) == (
        "<intent> <number> songs by <artist>, at 0:0"
    )
    assert template_of("abbatoir", {"artist": "abba"}) == "abbatoir"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(30, 120))
def test_no_template_is_on_both_sides_of_a_split(seed: int, count: int) -> None:
    values = [
        {"input": f"{mould} {n} for {NAMES[n % 30]}", "expected": {"order_id": str(n), "name": NAMES[n % 30]}}
        for n in range(count)
        for mould in (f"{NAMES[n // 3 % 30]}'s {NAMES[(n // 3 * 7) % 30]} of {n // 3}",)
    ]
    given = rows(values)
    parts = split(given, seed=seed)
    assert parts.note is None
    assert sorted(row.number for row in parts.train + parts.gate) == [row.number for row in given]
    moulds = [{template_of(row.input, row.expected) for row in side} for side in (parts.train, parts.gate)]
    assert not moulds[0] & moulds[1]
    assert split(given, seed=seed) == parts


def test_rows_of_one_template_are_split_all_the_same_and_it_is_said() -> None:
    values = [{"input": f"order {n}", "expected": {"order_id": str(n)}} for n in range(200)]
    parts = split(rows(values), seed=1)
    assert len(parts.gate) == 50
    assert "say nothing about others" in str(parts.note)


def test_near_pairs_are_those_that_share_their_shingles() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs into the deep dark forest"
    texts = [text, text + "!", "something else altogether", text.upper(), "", "x"]
    assert near_pairs(texts, at_least=0.9) == [(0, 1), (0, 3), (1, 3)]
