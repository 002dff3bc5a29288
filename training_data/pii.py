"""Rows for the PII spotter: text -> `{"spans": [{"type", "text"}, ...]}` in the order of the text.

`--public FILE` adds a labelled public file (microsoft/presidio-research, MIT): its rows, and its sentences
with other names and numbers in them. `--hold-out N` keeps one in N of its templates back, for a test.
"""

import argparse
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from training_data import number, people, place, work
from training_data.pii_story import story
from training_data.pii_template import TEMPLATES
from training_data.row import Row, distinct, read_jsonl, write_rows

__all__ = ["generate", "held_out", "public_rows", "refilled"]

Span = tuple[str, str]
"""(type, text)"""
Make = Callable[[random.Random], str]

PLACE = re.compile(r"\{(\w+)\}")
PREFIXES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Miss", "Mr", "Mrs", "Prof.", "Mister", "Madam", "Sir", "ms.", "mr.")
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
TASKS = (
    "Which personal data is in this text? ",
    "Find the personal data: ",
    "Redact this: ",
    "Mask the private details: ",
    "Take out names and numbers:\n",
    "Anonymise the text below.\n\n",
)
"""What somebody may write before the text."""
STORIES = 0.45
"""Share of the texts whose sentence is put together, not chosen."""
OPENERS = (
    "Hi, ",
    "hello, ",
    "Hey there. ",
    "Good morning. ",
    "PS: ",
    "Just so you know: ",
    "Well, ",
    "quick question: ",
)
CLOSERS = (
    " Thanks!",
    " thank you",
    " Please reply soon.",
    " That is all.",
    " Is that right?",
    " ok?",
    " :)",
    " cheers",
)


def generate(chance: random.Random) -> Row:
    """One text: a template, at times two or three in a row, or a story; a greeting, or small letters."""
    shape, count = chance.random(), 1
    if shape < 0.22:
        count = 2 if shape < 0.16 else 3
    chosen = [chance.choice(TEMPLATES) for _ in range(count)]
    if chance.random() < STORIES:
        chosen = [story(chance)]
    filled = [_fill(chance, template) for template in chosen]
    text = chance.choice((" ", " ", "\n")).join(part for part, _ in filled)
    spans = [span for _, found in filled for span in found]
    if chance.random() < 0.12:
        text = chance.choice(OPENERS) + text
    if chance.random() < 0.12:
        text += chance.choice(CLOSERS)
    row = _cased(chance, text, spans, " + ".join(chosen))
    return replace(row, input=chance.choice(TASKS) + row.input) if chance.random() < 0.15 else row


def public_rows(path: Path) -> list[Row]:
    """The labelled file's rows as they are."""
    rows: list[Row] = []
    for row in read_jsonl(path):
        spans = sorted(row["spans"], key=lambda span: span["start"])
        found = [(span["type"], row["text"][span["start"] : span["end"]]) for span in spans]
        rows.append(_row(row["text"], found, f"public {row['template']}"))
    return rows


def held_out(row: Row, every: int) -> bool:
    """Whether the row's public template is one of those kept back: about one in `every`, 0 for none."""
    template = int(row.template.removeprefix("public "))
    return every > 0 and (template * 2654435761 >> 7) % every == 0


def refilled(chance: random.Random, rows: list[Row]) -> Row:
    """A public sentence with other values; addresses keep to the way in which theirs were cut into spans."""
    row = chance.choice(rows)
    text, spans, at = "", list[Span](), 0
    whole = [span["type"] for span in row.expected["spans"]].count("STREET_ADDRESS") < 3
    for span in row.expected["spans"]:
        start = row.input.index(span["text"], at)
        value = _like(chance, span["type"], span["text"], whole=whole)
        text += row.input[at:start] + value
        spans.append((span["type"], value))
        at = start + len(span["text"])
    return _row(text + row.input[at:], spans, row.template)


def _fill(chance: random.Random, template: str) -> tuple[str, list[Span]]:
    parts, spans, at = list[str](), list[Span](), 0
    names: list[str] = []
    template = template.replace("\\n", "\n")
    for match in PLACE.finditer(template):
        parts.append(template[at : match.start()])
        at = match.end()
        if match[1] == "pieces":
            found = place.pieces(chance)
            joints = chance.choice(
                (
                    (" ", "\n ", "\n ", "\n ", " "),
                    (" ", "\n", "\n", "\n\n", " "),
                    (" ", ", ", ", ", ", ", " "),
                )
            )
            parts += [
                word for span, joint in zip(found, (*joints, ""), strict=False) for word in (span[1], joint)
            ]
            parts[-1] = parts[-1] if len(found) > len(joints) else ""
            spans += found
            continue
        kind, make = MAKERS[match[1]]
        again = names and match[1] in ("first", "last") and chance.random() < 0.4
        part = chance.choice(names).split()[0 if match[1] == "first" else -1] if again else make(chance)
        parts.append(part)
        if match[1] == "person":
            names.append(part)
        if kind is not None:
            spans.append((kind, parts[-1]))
    return "".join(parts) + template[at:], spans


def _cased(chance: random.Random, text: str, spans: list[Span], template: str) -> Row:
    """At times as people type in a hurry, or shout: the spans go along."""
    shape = chance.random()
    change = str.lower if shape < 0.07 else str.upper if shape < 0.085 else str
    if len(change(text)) == len(text):
        text, spans = change(text), [(kind, change(value)) for kind, value in spans]
    return _row(text, spans, template)


def _row(text: str, spans: list[Span], template: str) -> Row:
    return Row(text, {"spans": [{"type": kind, "text": value} for kind, value in spans]}, template)


def _like(chance: random.Random, kind: str, old: str, *, whole: bool) -> str:
    """Another value for an old one, of the same form where the form matters."""
    match kind:
        case "PERSON":
            short = people.first_name if chance.random() < 0.6 else people.last_name
            made = people.full_name(chance) if " " in old else short(chance)
        case "DATE_TIME":
            days = _year if old.isdigit() else _weekday if old.isalpha() else _stamp if ":" in old else _date
            made = days(chance)
        case "STREET_ADDRESS":
            made = _like_address(chance, old, whole=whole)
        case "TITLE":
            prefixed = old.rstrip(".") in {"Mr", "Mrs", "Ms", "Dr", "Miss"}
            made = chance.choice(PREFIXES[:5]) if prefixed else work.profession(chance)
        case "GPE":
            made = place.country(chance) if old in place.words(place.COUNTRIES) else place.city(chance)
        case _:
            made = REFILL[kind](chance)
    return made


def _like_address(chance: random.Random, old: str, *, whole: bool) -> str:
    if old.isdigit():
        return place.building(chance)
    if old.startswith(("Apt", "Suite")):
        return place.unit(chance)
    if not whole or len(old) < 22:
        return place.street(chance)
    return place.address(chance) if len(old) > 30 else place.street(chance)


def _year(chance: random.Random) -> str:
    return str(chance.randint(1930, 2029))


def _weekday(chance: random.Random) -> str:
    return chance.choice(WEEKDAYS)


def _age(chance: random.Random) -> str:
    return str(chance.randint(1, 99))


def _stamp(chance: random.Random) -> str:
    day = f"{chance.randint(1970, 2026)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    return f"{day} {chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}"


def _time(chance: random.Random) -> str:
    hour, minute = chance.randint(0, 23), chance.randint(0, 59)
    return chance.choice(
        (
            f"{hour:02}:{minute:02}",
            f"{hour % 12 + 1} {chance.choice(('am', 'pm'))}",
            f"{hour}:{minute:02}:{minute:02}",
        )
    )


def _date(chance: random.Random) -> str:
    year, month, day = chance.randint(1930, 2027), chance.randint(1, 12), chance.randint(1, 28)
    name = MONTHS[month - 1]
    shapes = (
        *(
            f"{month}/{day}/{year}",
            f"{month}/{day}/{year}",
            f"{day}.{month}.{year}",
            f"{year}-{month:02}-{day:02}",
        ),
        *(
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day:02}/{month:02}/{year}",
            f"{day} {name[:3]} {year}",
        ),
        *(f"{name} {year}", f"{name} {day}"),
    )
    return chance.choice(shapes)


def _amount(chance: random.Random) -> str:
    value = chance.choice((chance.randint(2, 900), chance.randint(2, 900) * 10))
    return chance.choice(
        (f"{value} euros", f"${value}", f"£{value}.50", f"{value} dollars", f"{value},00 EUR")
    )


MAKERS: dict[str, tuple[str | None, Make]] = {
    "amount": (None, _amount),
    "person": ("PERSON", people.full_name),
    "first": ("PERSON", people.first_name),
    "last": ("PERSON", people.last_name),
    "prefix": ("TITLE", lambda chance: chance.choice(PREFIXES)),
    "job": ("TITLE", work.profession),
    "org": ("ORGANIZATION", work.company),
    "city": ("GPE", place.city),
    "country": ("GPE", place.country),
    "nationality": ("NRP", place.nationality),
    "address": ("STREET_ADDRESS", place.address),
    "street": ("STREET_ADDRESS", place.street),
    "building": ("STREET_ADDRESS", place.building),
    "zip": ("ZIP_CODE", place.postcode),
    "card": ("CREDIT_CARD", number.card),
    "iban": ("IBAN_CODE", number.iban),
    "phone": ("PHONE_NUMBER", number.phone),
    "email": ("EMAIL_ADDRESS", number.email),
    "url": ("DOMAIN_NAME", number.url),
    "ip": ("IP_ADDRESS", number.ip),
    "ssn": ("US_SSN", number.ssn),
    "licence": ("US_DRIVER_LICENSE", number.licence),
    "age": ("AGE", _age),
    "year": ("DATE_TIME", _year),
    "date": ("DATE_TIME", _date),
    "stamp": ("DATE_TIME", _stamp),
    "time": ("DATE_TIME", _time),
    "weekday": ("DATE_TIME", _weekday),
}
REFILL = {kind: make for kind, make in MAKERS.values() if kind is not None} | {"ZIP_CODE": place.postcode}


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    rows = list(distinct(generate, arguments.rows, arguments.seed))
    if arguments.public is not None:
        kept = [row for row in public_rows(arguments.public) if not held_out(row, arguments.hold_out)]
        rows += [*kept, *distinct(lambda chance: refilled(chance, kept), arguments.refilled, arguments.seed)]
    random.Random(arguments.seed).shuffle(rows)
    yield from rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--public", type=Path, help="labelled public rows (.jsonl or .jsonl.gz)")
    parser.add_argument("--refilled", type=int, default=1500, help="public sentences with other values")
    parser.add_argument("--hold-out", type=int, default=0, help="keep one in so many public templates back")
    write_rows(_rows(parser.parse_args()))


if __name__ == "__main__":
    main()
