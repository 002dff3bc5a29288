"""Personal data in a text: its types, where it stands, how to take it out, what code alone can tell.

A language model finds names and places. Numbers with a fixed form it may miss or copy wrongly, and patterns
with check digits do not: an answer is completed with the e-mail addresses, cards, accounts and the like that
they find. Words that do not stand in the text are nobody's data, and are dropped: a small model that has lost
the thread makes up a third of what it lists. Telephones have many forms: what looks like one is taken for one
where the model has nothing else to say.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from shoal import Agent

__all__ = [
    "PersonalData",
    "PersonalType",
    "Span",
    "complete",
    "find_fixed_forms",
    "locate",
    "redact",
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

    @field_validator("spans")
    @classmethod
    def _complete(cls, spans: list[Span], info: ValidationInfo) -> list[Span]:
        """Where it is known which text was read: with what patterns find in it."""
        return complete(info.context["input"], spans) if info.context else spans


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
    (
        "CREDIT_CARD",
        re.compile(r"(?<![\w+-])(?:\d{12,19}|\d{4}(?:[ -]\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{5})(?![\w-])"),
    ),
    ("IP_ADDRESS", re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")),
    ("IP_ADDRESS", re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])")),
    ("US_SSN", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")),
)

TELEPHONE = re.compile(
    r"(?<![\w.,/:+-])(?:\+\d{1,3}[ -]?)?(?:\(\d{1,4}\)[ -]?)?\d++(?:[ .-]\d+){0,5}+"
    r"(?:x\d{2,5})?(?!\w|[.,:/-]\d)"
)
FORM: dict[PersonalType, re.Pattern[str]] = {
    "CREDIT_CARD": re.compile(r"(?:\d[ -]?){12,19}"),
    "DOMAIN_NAME": re.compile(r"\S+\.\S+"),
    "EMAIL_ADDRESS": re.compile(r"\S+@\S+"),
    "IBAN_CODE": re.compile(r"[A-Za-z]{2}\d{2}[\w ]+"),
    "IP_ADDRESS": re.compile(r"[\da-fA-F]+(?:[.:][\da-fA-F]*)+"),
    "PHONE_NUMBER": re.compile(r"\D*(?:\d\D*){5,}"),
    "US_SSN": re.compile(r"\D*(?:\d\D*){9}"),
    "ZIP_CODE": re.compile(r".*\d.*"),
}
"""What a span of the type looks like at the least: "my credit card" is no CREDIT_CARD."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[.-]\d{1,2}[.-]\d{4}")
FEWEST, FEWEST_BARE, MOST = 7, 10, 15
"""Digits of a telephone number; without any mark between them, seven digits may be anything."""


def find_fixed_forms(text: str) -> tuple[Place, ...]:
    """What patterns and check digits alone can tell, in the order of the text, no two in one place."""
    found: list[Place] = []
    for kind, pattern in FIXED:
        for match in pattern.finditer(text):
            free = all(match.end() <= place.start or place.end <= match.start() for place in found)
            if free and _fits(kind, match[0]):
                found.append(Place(Span(type=kind, text=match[0]), *match.span()))
    return tuple(sorted(found, key=lambda place: place.start))


def complete(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans with all fixed forms among them, each once and whole.

    One that patterns find takes the place of what reaches into it. A span that stands nowhere in the text is
    dropped, and so is one without the looks of its type.
    """
    spans = [span for span in spans if span.type not in FORM or FORM[span.type].fullmatch(span.text)]
    sure = find_fixed_forms(text)
    kept = _apart(_locate(text, spans), sure)
    others = [place for place in kept if place.span.type != "PHONE_NUMBER"]
    telephones = _apart(_find_telephones(text), [*sure, *others])
    ordered = sorted([*_apart(kept, telephones), *sure, *telephones], key=lambda place: place.start)
    return [place.span for place in ordered]


def _find_telephones(text: str) -> list[Place]:
    found: list[Place] = []
    for match in TELEPHONE.finditer(text):
        digits = sum(character.isdigit() for character in match[0].partition("x")[0])
        enough = FEWEST_BARE if match[0].isdigit() else FEWEST
        if enough <= digits <= MOST and not DAY.fullmatch(match[0]):
            found.append(Place(Span(type="PHONE_NUMBER", text=match[0]), *match.span()))
    return found


def _apart(places: Sequence[Place], others: Sequence[Place]) -> list[Place]:
    """Those that reach into none of the others."""
    return [
        place
        for place in places
        if not any(place.start < other.end and other.start < place.end for other in others)
    ]


def locate(text: str, data: PersonalData) -> tuple[Place, ...]:
    """Where the spans stand, in the order of the text. What is not there as whole words is left out."""
    return _locate(text, data.spans)


def _locate(text: str, spans: Sequence[Span]) -> tuple[Place, ...]:
    """Each at the first place that none before it has taken."""
    places: list[Place] = []
    for span in spans:
        found = (Place(span, start, start + len(span.text)) for start in _starts(text, span.text))
        places += [place for place in found if _apart([place], places)][:1]
    return tuple(sorted(places, key=lambda place: place.start))


def _starts(text: str, words: str) -> Iterator[int]:
    start = text.find(words) if words else -1
    while start >= 0:
        end = start + len(words)
        if not (_joined(text[start - 1 : start + 1]) and start) and not _joined(text[end - 1 : end + 1]):
            yield start
        start = text.find(words, start + 1)


def _joined(pair: str) -> bool:
    """Whether a word goes on from one character to the next. Scripts without capitals may have no spaces."""
    return len(pair) == 2 and all(char.isdigit() or char.lower() != char.upper() for char in pair)


def redact(text: str, data: PersonalData) -> str:
    """The text with `[TYPE]` in the place of every span."""
    for place in reversed(locate(text, data)):
        text = f"{text[: place.start]}[{place.span.type}]{text[place.end :]}"
    return text


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


pii_spotter = Agent(
    "pii-spotter",
    job="Find the personal data in a text and list it as JSON: type and words.",
    model="embedded:smollm2:135m",
    output=PersonalData,
    max_tokens=512,
    timeout_s=30,
)
