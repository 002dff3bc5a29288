"""The forms of texts, options and function documents: numbers that any text has, and what they count."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.router.escalation.option_form import (
    CHOICE_FEATURES,
    OPTION_FEATURES,
    choice_form,
    option_form,
    parse_options,
)
from shoal.router.escalation.text_form import ANSWER_FEATURES, TEXT_FEATURES, answer_form, text_form
from shoal.router.escalation.tool_form import TOOL_FEATURES, tool_form

LENGTH, WORDS, _, NUMBERS, LONGEST_NUMBER, SYMBOLS, SENTENCES, NAMES, NEGATIONS, VARIETY = range(10)
"""Places in `text_form`; after them a flag a kind of question."""
KINDS = ("what", "which", "who", "when", "where", "why", "how")

words = st.text(st.characters(codec="utf-8"), max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def counted(value: float) -> int:
    """What log1p was taken of."""
    return round(math.expm1(value))


@given(words, words)
def test_any_text_has_a_form_and_always_the_same(text: str, other: str) -> None:
    forms = (
        (text_form(text), TEXT_FEATURES),
        (answer_form(text, other), ANSWER_FEATURES),
        (option_form(text), OPTION_FEATURES),
        (choice_form(text, other), CHOICE_FEATURES),
        (tool_form(text, []), TOOL_FEATURES),
    )
    for form, length in forms:
        assert len(form) == length
        assert all(math.isfinite(value) for value in form)
    assert text_form(text) == forms[0][0]


def test_what_a_text_is_made_of() -> None:
    form = text_form("Which of 3 rivers is not 1,250 km long? Ask Anna, or Bert. It can't be both.")
    assert counted(form[LENGTH]) == 76
    assert counted(form[NUMBERS]) == 2
    assert counted(form[LONGEST_NUMBER]) == len("1,250")
    assert counted(form[SENTENCES]) == 3
    assert counted(form[NAMES]) == 2, "Anna and Bert; the other capitals begin a sentence"
    assert counted(form[NEGATIONS]) == 2
    assert counted(form[SYMBOLS]) == 0
    assert dict(zip(KINDS, form[-len(KINDS) :], strict=True)) == {
        kind: float(kind == "which") for kind in KINDS
    }


def test_symbols_and_repeated_words() -> None:
    assert counted(text_form("x = y + z")[SYMBOLS]) == 2
    assert text_form("no no NO yes")[VARIETY] == 0.5
    assert text_form("")[VARIETY] == 0.0


@given(st.lists(st.sampled_from(["river", "tide", "moon", "salt"]), min_size=1, max_size=30))
def test_a_longer_text_of_the_same_words_is_longer_and_no_more_varied(chosen: list[str]) -> None:
    once, twice = text_form(" ".join(chosen)), text_form(" ".join(chosen * 2))
    assert twice[LENGTH] > once[LENGTH]
    assert counted(twice[WORDS]) == 2 * counted(once[WORDS])
    assert twice[VARIETY] == pytest.approx(once[VARIETY] / 2)


@pytest.mark.parametrize(
    ("answer", "place", "value"),
    [
        ("The tide is probably high.", 7, 1.0),
        ("The tide is high.", 7, 0.0),
        ("Sorry, I am unable to say", 8, 1.0),
        ("Yes, it is", 9, 1.0),
        ("It is, yes", 9, 0.0),
        ("It is not", 10, 1.0),
        ("high tide", 4, 0.5),
        ("It ends.", 6, 1.0),
        ("it goes on", 5, 0.0),
    ],
)
def test_what_an_answer_gives_away(answer: str, place: int, value: float) -> None:
    assert answer_form(answer, "How late is the tide?")[place] == value


OPTIONS = ["Salt water", "Fresh water of 3 rivers", "Ice", "None of the above"]


def question(options: list[str], mark: str = ". ") -> str:
    lines = [f"{letter}{mark}{option}" for letter, option in zip("ABCDEFGH", options, strict=False)]
    return "\n".join(["What is the sea made of?", *lines, "Answer:"])


@pytest.mark.parametrize("mark", [". ", ") ", ": "])
def test_options_are_found_in_their_order(mark: str) -> None:
    assert parse_options(question(OPTIONS, mark)) == dict(zip("ABCD", OPTIONS, strict=True))


@pytest.mark.parametrize("text", ["no options", "A. only one", "B. no first\nC. third", "A. one\nC. third"])
def test_what_is_no_list_of_options(text: str) -> None:
    assert parse_options(text) == {}
    assert option_form(text) == [0.0] * OPTION_FEATURES
    assert choice_form(text, "A") == [0.0] * CHOICE_FEATURES


@given(st.permutations(OPTIONS))
def test_the_order_of_the_options_is_no_part_of_their_form(options: list[str]) -> None:
    assert option_form(question(options)) == pytest.approx(option_form(question(OPTIONS)))


def test_what_options_look_like() -> None:
    there, size, longest, likeness, numbers, sweeping, statements = option_form(question(OPTIONS))
    sizes = [len(option) for option in OPTIONS]
    assert (there, numbers, sweeping, statements) == (1.0, 0.25, 1.0, 0.0)
    assert size == pytest.approx((sum(sizes) / 4) ** 0.5)
    assert longest == pytest.approx(max(sizes) / (sum(sizes) + 1))
    # "water" is shared by the first two, "of" by the second and the last.
    assert likeness == pytest.approx((1 / 6 + 1 / 8) / 6)
    assert option_form(question(["true, false", "I and II"]))[-1] == 1.0
    alike = option_form(question(["salt water here", "salt water there"]))
    assert alike[3] > likeness


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [("A", 0), ("(B) Fresh", 1), ("C: Ice", 2), (" D.", 3), ("Apple", None), ("E", None)],
)
def test_which_option_was_chosen(answer: str, chosen: int | None) -> None:
    form = choice_form(question(OPTIONS), answer)
    if chosen is None:
        assert form == [0.0] * CHOICE_FEATURES
        return
    assert form[:4] == [float(place == chosen) for place in range(4)]
    length, longest, shortest, sweeping = form[4:]
    assert length == pytest.approx(len(OPTIONS[chosen]) / (sum(map(len, OPTIONS)) / 4 + 1))
    assert (longest, shortest, sweeping) == (float(chosen == 1), float(chosen == 2), float(chosen == 3))


def function(name: str, /, *, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "",
        "parameters": {"type": "object", "properties": properties, "required": list(required)},
    }


WEATHER = function(
    "getWeather",
    required=("city", "days"),
    city={"type": "string", "description": "Must be in the form City, Country"},
    days={"type": "integer"},
    units={"type": "string", "enum": ["c", "f"], "default": "c"},
    stations={"type": "array", "items": {"type": "string"}},
)
TIMER = function("set_timer", required=("seconds",), seconds={"type": "integer"})
ASKED = "What is the weather in the city of Kiel for 3 days?"


def test_without_functions_there_is_no_form() -> None:
    assert tool_form(ASKED, []) == [0.0] * TOOL_FEATURES


def test_the_function_that_the_request_sounds_like_is_looked_at() -> None:
    form = tool_form(ASKED, [TIMER, WEATHER])
    assert form[:4] == [1.0, math.log(2), 0.5, 0.5], "of get, weather and set, timer: weather is asked for"
    properties, required, optional = (counted(value) for value in form[4:7])
    assert (properties, required, optional) == (4, 2, 2)
    strings, integers, floats, numbers, booleans, nested = (counted(value) for value in form[7:13])
    assert (strings, integers, floats, numbers, booleans, nested) == (2, 1, 0, 0, 0, 1)
    enums, defaults, hints = (counted(value) for value in form[13:16])
    assert (enums, defaults, hints) == (1, 1, 1)
    named, spare, distance = form[17:20]
    assert named == 1.0, "city and days both stand in the request"
    assert (spare, distance) == (0.0, 0.0), "one number in the request, one to be filled in"


@given(
    st.permutations([WEATHER, TIMER, function("book_flight", required=("city",), city={"type": "string"})])
)
def test_the_order_of_the_functions_does_not_matter(functions: list[dict[str, Any]]) -> None:
    assert tool_form(ASKED, functions) == tool_form(ASKED, sorted(functions, key=lambda each: each["name"]))


def test_numbers_that_are_not_wanted_and_wanted_ones_that_are_missing() -> None:
    assert tool_form("timer for 5 minutes 30 seconds", [TIMER])[18:20] == [1.0, 1.0]
    assert tool_form("a timer", [TIMER])[18:20] == [-1.0, 1.0]


@given(words, json_values)
def test_any_function_document_has_a_form(text: str, inner: Any) -> None:
    form = tool_form(text, [function("any", required=("one", "absent"), one={"type": "object", "x": inner})])
    assert len(form) == TOOL_FEATURES
    assert all(math.isfinite(value) for value in form)
