"""Variants of rows: other quotes, the same labels."""

from typing import Literal

from pydantic import BaseModel, TypeAdapter

from shoal import Verbatim
from shoal.agents.row import Row
from shoal.core.verbatim import find_verbatim
from shoal.curation.vary import vary


class Named(BaseModel):
    kind: Literal["city", "person"]
    text: Verbatim


class Note(BaseModel):
    topic: str
    names: list[Named]
    day: Verbatim | None = None


SCHEMA = TypeAdapter(Note).json_schema()
PEOPLE, CITIES, DAYS = ("Ada", "Bo", "Cy"), ("Oslo", "Rome", "York"), ("Monday", "Friday", "Sunday")


def note(number: int, person: str, city: str, day: str | None) -> Row:
    text = f"{person} flies to {city}" + (f" on {day}" if day else "")
    names = [{"kind": "person", "text": person}, {"kind": "city", "text": city}]
    return Row(number=number, input=text, expected={"topic": "travel", "names": names, "day": day})


ROWS = [note(at, *each) for at, each in enumerate(zip(PEOPLE, CITIES, DAYS, strict=True), start=1)]


def test_quotes_change_within_their_field_and_label_and_the_answer_with_them() -> None:
    variants = vary(ROWS, SCHEMA, times=50, seed=1)
    assert len(variants) > 100
    for variant in variants:
        assert variant.input not in {row.input for row in ROWS if row.number == variant.number}
        person, city = (each["text"] for each in variant.expected["names"])
        assert variant.expected == note(variant.number, person, city, variant.expected["day"]).expected
        assert variant.input == note(variant.number, person, city, variant.expected["day"]).input
        assert person in PEOPLE
        assert city in CITIES
        assert variant.expected["day"] in DAYS
    assert {variant.expected["day"] for variant in variants} == set(DAYS)
    assert {variant.expected["topic"] for variant in variants} == {"travel"}, "a string that is no quote"


def test_the_same_seed_gives_the_same_and_the_rows_stay_as_they_were() -> None:
    before = [row.input for row in ROWS]
    assert vary(ROWS, SCHEMA, times=3, seed=1) == vary(ROWS, SCHEMA, times=3, seed=1)
    assert vary(ROWS, SCHEMA, times=3, seed=1) != vary(ROWS, SCHEMA, times=3, seed=2)
    assert [row.input for row in ROWS] == before
    assert vary(ROWS, SCHEMA, times=0, seed=1) == ()


def test_what_stands_there_twice_or_within_another_is_left_alone() -> None:
    twice = Row(
        number=9,
        input="Ada and Ada",
        expected={"topic": "travel", "names": [{"kind": "person", "text": "Ada"}]},
    )
    nested = Row(
        number=10,
        input="York Minster",
        expected={
            "topic": "travel",
            "names": [{"kind": "city", "text": "York"}, {"kind": "city", "text": "York Minster"}],
        },
    )
    assert {variant.number for variant in vary([*ROWS, twice, nested], SCHEMA, times=30, seed=1)} == {1, 2, 3}


def test_reasons_and_samples_of_the_other_text_are_not_kept() -> None:
    row = Row(
        number=1,
        input="Ada",
        expected={"topic": "travel", "names": [{"kind": "person", "text": "Ada"}]},
        rationale="A name.",
    )
    variants = vary([row, *ROWS], SCHEMA, times=30, seed=1)
    assert [variant.rationale for variant in variants if variant.number == 1] != []
    assert all(variant.rationale is None for variant in variants)


def test_an_answer_that_quotes_nothing_has_no_variants() -> None:
    schema = TypeAdapter(dict[str, str]).json_schema()
    assert vary([Row(number=1, input="a b", expected={"x": "a"})], schema, times=5, seed=1) == ()


def test_fields_by_name_are_kinds_of_their_own() -> None:
    schema = TypeAdapter(dict[str, list[Verbatim]]).json_schema()
    rows = [
        Row(number=1, input="play abba in rome", expected={"artist": ["abba"], "city": ["rome"]}),
        Row(number=2, input="play blur in oslo", expected={"artist": ["blur"], "city": ["oslo"]}),
    ]
    for variant in vary(rows, schema, times=20, seed=0):
        assert find_verbatim(variant.expected["artist"][0], "abba blur")
        assert find_verbatim(variant.expected["city"][0], "rome oslo")
