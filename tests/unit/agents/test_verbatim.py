"""Strings that an answer may only take from its input."""

import re

import pytest
from pydantic import BaseModel, TypeAdapter

from shoal import Agent, Verbatim
from shoal.agents.prompt import build_request
from shoal.agents.validation import parse_output
from shoal.core.errors import OutputInvalid
from shoal.core.verbatim import VERBATIM, find_verbatim, list_verbatim, match_verbatim, plain_verbatim


class Trip(BaseModel):
    city: Verbatim
    sights: list[Verbatim] = []


@pytest.fixture
def agent() -> Agent[Trip]:
    return Agent("trip-reader", job="Read a trip.", model="embedded:smollm2:135m", output=Trip)


def test_the_answer_has_the_spelling_of_the_text(agent: Agent[Trip]) -> None:
    text = "To Saint  Helena, to see Jacob's Ladder"
    trip = parse_output(agent, '{"city": "saint helena", "sights": ["Jacob\'s  Ladder"]}', text)
    assert trip == Trip(city="Saint Helena", sights=["Jacob's Ladder"])


@pytest.mark.parametrize("city", ["Saint Helen of Troy", "", "  "])
def test_words_that_do_not_stand_in_the_text_are_no_answer(agent: Agent[Trip], city: str) -> None:
    with pytest.raises(OutputInvalid) as caught:
        parse_output(agent, f'{{"city": "{city}"}}', "To Saint Helena")
    assert "city: Value error, these words do not stand in the text" in (caught.value.why or "")


def test_an_example_may_say_anything() -> None:
    assert TypeAdapter(Trip).validate_python({"city": "Paris"}) == Trip(city="Paris")


def test_the_request_marks_them_and_the_prompt_does_not(agent: Agent[Trip]) -> None:
    request = build_request(agent, "To Rome", ())
    assert request.schema is not None
    assert request.schema["properties"]["city"][VERBATIM] is True
    assert VERBATIM not in request.messages[0].content
    assert request.top_logprobs == 0, "words of the text are no labels"


def test_a_short_text_becomes_the_list_of_its_runs_of_words() -> None:
    schema = TypeAdapter(Trip).json_schema()
    narrowed = list_verbatim(schema, "in  Rome, now")
    runs = ["in", "in Rome", "in Rome,", "in Rome, now", "Rome", "Rome,", "Rome, now", ",", ", now", "now"]
    assert narrowed["properties"]["city"] == {"title": "City", "enum": runs}
    assert narrowed["properties"]["sights"]["items"] == {"enum": runs}
    assert narrowed["required"] == ["city"]


@pytest.mark.parametrize("text", ["", "word " * 28])
def test_without_words_or_with_many_any_string_will_do(text: str) -> None:
    schema = TypeAdapter(Trip).json_schema()
    assert list_verbatim(schema, text) == plain_verbatim(schema)
    assert plain_verbatim(schema)["properties"]["sights"]["items"] == {"type": "string"}


def test_a_longer_text_becomes_a_pattern_of_the_same_runs() -> None:
    schema = TypeAdapter(list[Verbatim]).json_schema()
    for text in ("in  Rome, now", "a-b (c) $5.00 a-b", "東京へ行く tomorrow", "x"):
        listed = list_verbatim(schema, text)["items"]["enum"]
        matched = match_verbatim(schema, text)["items"]
        assert matched["type"] == "string"
        for run in listed:
            assert re.search(matched["pattern"], run), run
        for other in ("", "Rome now", "Rom", " ", "now in", text + "."):
            assert not re.search(matched["pattern"], other), other
    long = match_verbatim(schema, "word " * 200)["items"]["pattern"]
    assert re.search(long, "word word")
    assert match_verbatim(schema, "word " * 201) == plain_verbatim(schema)


def test_scripts_without_spaces_may_be_cut_anywhere() -> None:
    schema = TypeAdapter(list[Verbatim]).json_schema()
    assert "東京" in list_verbatim(schema, "東京へ行く")["items"]["enum"]
    assert "서울" in list_verbatim(schema, "서울에서 3박")["items"]["enum"]


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("a+b", "is A+B so", "A+B"),
        ("x y", "x\n\ty", "x y"),
        ("z", "x y", None),
        ("", "x", None),
        ("straße", "die Straße", "Straße"),
        ("May", "Hello, may I fly in May?", "May"),
        ("Ann", "the annual report for Ann", "Ann"),
        ("ann", "the annual report for Ann", "Ann"),
        ("AB", "cable 東ab京", "ab"),
    ],
)
def test_case_and_runs_of_spaces_do_not_count(value: str, text: str, found: str | None) -> None:
    assert find_verbatim(value, text) == found


def test_a_property_of_that_name_is_a_property() -> None:
    schema = {"type": "object", "properties": {"x-verbatim": {"type": "integer"}}}
    assert list_verbatim(schema, "one two") == schema
