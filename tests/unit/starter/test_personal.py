"""Personal data: what patterns find, where spans stand, and that nothing is left when they are taken out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.personal import (
    PersonalData,
    PersonalType,
    Span,
    find_fixed_forms,
    locate,
    misses_no_fixed_form,
    redact,
    spans_stand_in_the_text,
)


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


@pytest.mark.parametrize("piece", ["4 ", "a.b", "a@", "GB00 ", "1:", "10.", "http://"])
def test_hostile_text_is_read_in_time(piece: str) -> None:
    """Patterns that backtrack would take minutes here."""
    find_fixed_forms(piece * 5_000)


def test_a_span_is_looked_for_after_the_one_before_it() -> None:
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


@pytest.mark.parametrize(
    ("spans", "stands", "misses_none"),
    [
        ((("PERSON", "Ann"), ("EMAIL_ADDRESS", "ann@example.org")), True, True),
        ((("EMAIL_ADDRESS", "ann@example.org"),), True, True),
        ((("PERSON", "Ann"),), True, False),
        ((("EMAIL_ADDRESS", "ann@example.org"), ("PERSON", "Ann")), False, True),
        ((("PERSON", "Anna"), ("EMAIL_ADDRESS", "ann@example.org")), False, True),
    ],
)
def test_checks(spans: tuple[tuple[PersonalType, str], ...], stands: bool, misses_none: bool) -> None:
    text = "Ann writes from ann@example.org"

    assert spans_stand_in_the_text(text, data(*spans)) is stands
    assert misses_no_fixed_form(text, data(*spans)) is misses_none
