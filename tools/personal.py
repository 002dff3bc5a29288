"""Personal data in a text: its types, where it stands, how to take it out, and checks on who says so.

A language model finds names and places; numbers with a fixed form it may miss, and patterns do not. So the
checks look for e-mail addresses, card numbers, accounts and the like on their own, with their check digits.
"""

import re
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

__all__ = [
    "PersonalData",
    "PersonalType",
    "Span",
    "find_fixed_forms",
    "locate",
    "misses_no_fixed_form",
    "redact",
    "spans_stand_in_the_text",
]

PersonalType = Literal[
    "AGE",
    "CREDIT_CARD",
    "DATE_TIME",
    "DOMAIN_NAME",
    "EMAIL_ADDRESS",
    "GPE",
    "IBAN_CODE",
    "IP_ADDRESS",
    "NRP",
    "ORGANIZATION",
    "PERSON",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "TITLE",
    "US_DRIVER_LICENSE",
    "US_SSN",
    "ZIP_CODE",
]
"""Those of microsoft/presidio-research. GPE: city, state, country; NRP: nationality, religion, politics."""


class Span(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: PersonalType
    text: str
    """As it stands in the text."""


class PersonalData(BaseModel):
    model_config = ConfigDict(frozen=True)

    spans: list[Span]
    """In the order of the text; one that stands there twice is there twice."""


class Place(NamedTuple):
    span: Span
    start: int
    """Offset of its first character."""
    end: int
    """Offset after its last character."""


FIXED: tuple[tuple[PersonalType, re.Pattern[str]], ...] = (
    ("EMAIL_ADDRESS", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")),
    ("DOMAIN_NAME", re.compile(r"\bhttps?://[^\s<>\"')]{1,200}[^\s<>\"').,;:!?]")),
    ("IBAN_CODE", re.compile(r"\b[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}\b")),
    ("IBAN_CODE", re.compile(r"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?\b")),
    ("CREDIT_CARD", re.compile(r"(?<![\w-])\d(?:[ -]?\d){11,18}(?![\w-])")),
    ("IP_ADDRESS", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")),
    ("IP_ADDRESS", re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])")),
    ("US_SSN", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")),
)


def find_fixed_forms(text: str) -> tuple[Place, ...]:
    """What patterns and check digits alone can tell, in the order of the text, no two in one place."""
    found: list[Place] = []
    for kind, pattern in FIXED:
        for match in pattern.finditer(text):
            free = all(match.end() <= place.start or place.end <= match.start() for place in found)
            if free and _fits(kind, match[0]):
                found.append(Place(Span(type=kind, text=match[0]), *match.span()))
    return tuple(sorted(found, key=lambda place: place.start))


def locate(text: str, data: PersonalData) -> tuple[Place, ...]:
    """Where the spans stand: each is looked for after the one before it. What is not there is left out."""
    places: list[Place] = []
    at = 0
    for span in data.spans:
        start = text.find(span.text, at) if span.text else -1
        if start >= 0:
            at = start + len(span.text)
            places.append(Place(span, start, at))
    return tuple(places)


def redact(text: str, data: PersonalData) -> str:
    """The text with `[TYPE]` in the place of every span."""
    for place in reversed(locate(text, data)):
        text = f"{text[: place.start]}[{place.span.type}]{text[place.end :]}"
    return text


def spans_stand_in_the_text(text: str, data: PersonalData) -> bool:
    """All of them, letter for letter and in the order of the text."""
    return len(locate(text, data)) == len(data.spans)


def misses_no_fixed_form(text: str, data: PersonalData) -> bool:
    """Everything that patterns find is inside a span, whatever its type."""
    places = locate(text, data)
    return all(
        any(place.start <= sure.start and sure.end <= place.end for place in places)
        for sure in find_fixed_forms(text)
    )


def _fits(kind: PersonalType, value: str) -> bool:
    """Whether check digits, where the form has any, and ranges are right."""
    if kind == "CREDIT_CARD":
        digits = [int(character) for character in reversed(value) if character.isdigit()]
        return sum(sum(divmod(digit * (1 + at % 2), 10)) for at, digit in enumerate(digits)) % 10 == 0
    if kind == "IBAN_CODE":
        code = value.replace(" ", "").upper()
        return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97 == 1
    if kind == "IP_ADDRESS" and "." in value:
        return all(int(part) < 256 for part in value.split("."))
    return True
