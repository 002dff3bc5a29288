"""Personal data: what patterns find, where spans stand, and that nothing is left when they are taken out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.readers.agents.pii_spotter import (
    PersonalData,
    PersonalType,
    Span,
    complete,
    find_fixed_forms,
    locate,
    pii_spotter,
    redact,
)
from shoal.agents.validation import parse_output


def data(*spans: tuple[PersonalType, str]) -> PersonalData:
    return PersonalData(spans=[Span(type=kind, text=text) for kind, text in spans])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail a.b+c@mail.example.co.uk, ok", [("EMAIL_ADDRESS", "a.b+c@mail.example.co.uk")]),
        ("see https://example.org/a?b=1.", [("DOMAIN_NAME", "https://example.org/a?b=1")]),
        ("to GB82 WEST 1234 5698 7654 32 please", [("IBAN_CODE", "GB82 WEST 1234 5698 7654 32")]),
        ("de89370400440532013000", [("IBAN_CODE", "de89370400440532013000")]),
        ("4111-1111-1111-1111", [("CREDIT_CARD", "4111-1111-1111-1111")]),
        (
            "from 10.0.0.255 or 2001:db8:0:0:0:0:0:1",
            [("IP_ADDRESS", "10.0.0.255"), ("IP_ADDRESS", "2001:db8:0:0:0:0:0:1")],
        ),
        ("SSN 219-09-9999", [("US_SSN", "219-09-9999")]),
        ("4111-1111-1111-1112", []),
        ("GB83 WEST 1234 5698 7654 32", []),
        ("10.0.0.256", []),
        ("version 4.12.1.0.3", []),
        ("call 020 7946 0110", []),
        ("", []),
    ],
)
def test_fixed_forms(text: str, found: list[tuple[str, str]]) -> None:
    assert [(place.span.type, place.span.text) for place in find_fixed_forms(text)] == found


@pytest.mark.parametrize("piece", ["4 ", "a.b", "a@", "GB00 ", "1:", "10.", "http://", "12 ", "(1"])
def test_hostile_text_is_read_in_time(piece: str) -> None:
    """Patterns that backtrack would take minutes here."""
    complete(piece * 5_000, [])


def test_a_span_that_is_said_twice_is_looked_for_twice() -> None:
    text = "Ann met Ann and Bo."

    places = locate(text, data(("PERSON", "Ann"), ("PERSON", "Ann"), ("PERSON", "Bo")))

    assert [(place.start, place.end) for place in places] == [(0, 3), (8, 11), (16, 18)]


def test_redacting_takes_every_span_out() -> None:
    text = "Ann (34) lives in Cork, Ann does."
    spans = data(("PERSON", "Ann"), ("AGE", "34"), ("GPE", "Cork"), ("PERSON", "Ann"))

    assert redact(text, spans) == "[PERSON] ([AGE]) lives in [GPE], [PERSON] does."


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="ab ", max_size=20), st.lists(st.text(alphabet="ab", max_size=3), max_size=4))
def test_redacting_changes_nothing_but_spans(text: str, words: list[str]) -> None:
    spans = PersonalData(spans=[Span(type="PERSON", text=word) for word in words])
    places = locate(text, spans)

    left = redact(text, spans).replace("[PERSON]", "")

    assert len(left) == len(text) - sum(place.end - place.start for place in places)


TEXT = "Ann writes from ann@example.org and pays with 4111 1111 1111 1111"
MAIL: tuple[PersonalType, str] = ("EMAIL_ADDRESS", "ann@example.org")
CARD: tuple[PersonalType, str] = ("CREDIT_CARD", "4111 1111 1111 1111")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([("PERSON", "Ann")], [("PERSON", "Ann"), MAIL, CARD]),
        ([("PERSON", "Ann"), MAIL, CARD], [("PERSON", "Ann"), MAIL, CARD]),
        ([("PERSON", "Ann"), ("EMAIL_ADDRESS", "ann@example.com")], [("PERSON", "Ann"), MAIL, CARD]),
        ([("PERSON", "ann"), ("PHONE_NUMBER", "1111 1111")], [MAIL, CARD]),
        ([("PERSON", "Anna")], [MAIL, CARD]),
        ([], [MAIL, CARD]),
        ([("PHONE_NUMBER", "0000 0000")], [MAIL, CARD]),
        ([("DOMAIN_NAME", "writes from"), ("CREDIT_CARD", "pays")], [MAIL, CARD]),
    ],
)
def test_patterns_have_the_last_word_on_fixed_forms(
    said: list[tuple[PersonalType, str]], expected: list[tuple[str, str]]
) -> None:
    spans = complete(TEXT, [Span(type=kind, text=text) for kind, text in said])

    assert [(span.type, span.text) for span in spans] == expected


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        ("call +44 7700 900 456 now", [], ["PHONE_NUMBER +44 7700 900 456"]),
        ("call (602) 555-0143x21", [], ["PHONE_NUMBER (602) 555-0143x21"]),
        ("call 055 612 8841", [("PHONE_NUMBER", "612 8841")], ["PHONE_NUMBER 055 612 8841"]),
        ("licence 2270-66-1551", [("US_DRIVER_LICENSE", "2270-66-1551")], ["US_DRIVER_LICENSE 2270-66-1551"]),
        (
            "at 12 34567 Park Road",
            [("STREET_ADDRESS", "34567 Park Road")],
            ["STREET_ADDRESS 34567 Park Road"],
        ),
        ("on 2026-11-21 and 4.12.2026", [], []),
        ("order 1234567", [], []),
        ("1,200,300.50 and 12 3", [], []),
    ],
)
def test_what_looks_like_a_telephone_number_is_one_unless_the_model_says_otherwise(
    text: str, said: list[tuple[PersonalType, str]], expected: list[str]
) -> None:
    spans = complete(text, [Span(type=kind, text=words) for kind, words in said])

    assert [f"{span.type} {span.text}" for span in spans] == expected


def test_the_agents_answer_is_completed_and_what_it_made_up_is_left_out() -> None:
    said = '{"spans": [{"type": "PERSON", "text": "Bob"}, {"type": "PERSON", "text": "Ann"}]}'

    found = parse_output(pii_spotter, said, TEXT)

    assert [span.text for span in found.spans] == ["Ann", MAIL[1], CARD[1]]


@pytest.mark.parametrize(
    ("text", "words", "found"),
    [
        ("Annual report by Ann", "Ann", [17]),
        ("aTM center", "TM", []),
        ("call 1234", "234", []),
        ("田中太郎さん", "田中太郎", [0]),  # no spaces between words
        ("5th Avenue, 5th floor", "5th", [0]),
        ("Ann", "", []),
    ],
)
def test_a_span_is_whole_words(text: str, words: str, found: list[int]) -> None:
    assert [place.start for place in locate(text, data(("PERSON", words)))] == found
