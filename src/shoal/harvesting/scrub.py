"""Takes personal data out of a row before it is written: one value, one replacement, all over the row.

Structured kinds are found by rules, names and postal addresses by a model where there is one. What the answer
copies from the input it still copies afterwards, also in another dress or in part: "4111 1111 ..." and the
"4111" of the answer stay the same card. Where that cannot be kept the row is refused: it would teach to
invent. So it is where a person is still named in a form that cannot be replaced.

Replacements depend on the row's key and on the form of a value, never on the value itself.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from shoal.harvesting.person import PersonNames
from shoal.harvesting.recogniser import Found, find_personal
from shoal.harvesting.surrogate import DIGITS, Pieces, dress, make_surrogate, plain

__all__ = ["SPOTTED", "ScrubReport", "Scrubbed", "Spotter", "Unscrubbable", "scrub"]

Spotter = Callable[[str], Awaitable[Sequence[tuple[str, str]]]]
"""A model that reads a text and names what is personal in it: pairs of a kind and the words themselves."""

SPOTTED = frozenset(
    {"PERSON", "STREET_ADDRESS", "ZIP_CODE", "PHONE_NUMBER", "EMAIL_ADDRESS", "US_DRIVER_LICENSE"}
)
"""Kinds that are taken from a spotter. Countries, companies, dates and titles name nobody."""

PERSON = "PERSON"
TRIES = 20
DIGIT_RUN = re.compile(r"\+?\d(?:[ ()./-]{0,2}\d)+")
PART = re.compile(r"[\d.@/]")
"""Signs of which a part of a value has one: a mere word may stand in an address and still be a label."""
SHORTEST = 4
"""A part of a value that an answer quotes has at least so many signs; shorter ones are everywhere."""


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """A row without personal data."""

    input: str
    rest: Any
    """The other values of the row, in their shape."""
    replaced: Mapping[str, int]
    """Different values, per kind."""


@dataclass(frozen=True, slots=True)
class Unscrubbable:
    """A row that cannot be written."""

    reason: str


@dataclass(slots=True)
class ScrubReport:
    rows: int = 0
    replaced: Counter[str] = field(default_factory=Counter[str])
    """Values, per kind; a value that stands in a row twice counts once."""
    rows_changed: int = 0
    spotter: str | None = None
    """Who looked for names and addresses; None = nobody did, so they are still there."""

    def add(self, scrubbed: Scrubbed) -> None:
        self.rows += 1
        self.rows_changed += bool(scrubbed.replaced)
        self.replaced.update(scrubbed.replaced)


def scrub(
    text: str,
    rest: Any = None,
    *,
    key: str,
    spotted: Collection[tuple[str, str]] = (),
    keep: Collection[str] = (),
) -> Scrubbed | Unscrubbable:
    """A row's input and its other values (JSON), without what is personal.

    Args:
        text: the input.
        rest: answer, rationale, samples: any JSON value.
        key: of the row; the same key and row give the same result.
        spotted: what a spotter found in the input: kind and words.
        keep: values that are nobody's secret, such as the firm's own address.
    """
    reason = ""
    for attempt in range(TRIES):
        row = _Row(key=f"{key}/{attempt}", keep={value.casefold() for value in keep})
        row.learn(text, spotted)
        new = Scrubbed(row.replace(text), row.rebuild(rest), row.replaced)
        texts = (new.input, *_texts(new.rest))
        if not all(row.is_clean(value) for value in texts):
            reason = "what replaces its values looks personal again, whatever is chosen"
        elif any(row.persons.is_left(value) for value in texts):
            reason = "it still names a person, in a form that cannot be replaced"
        else:
            torn = next(_torn(text, rest, new, row), None)
            return new if torn is None else Unscrubbable(torn)
    return Unscrubbable(reason)


@dataclass(slots=True)
class _Row:
    """What is known of one row's values."""

    key: str
    keep: set[str]
    known: dict[tuple[str, str], Pieces] = field(default_factory=dict[tuple[str, str], Pieces])
    """By family of kinds and plain value; but for persons."""
    kinds: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    words: dict[str, str] = field(default_factory=dict[str, str])
    """Spotted words, and their kinds."""
    persons: PersonNames = field(init=False)
    places: tuple[Found, ...] = ()
    """Where the input's values are."""
    input: str = ""

    def learn(self, text: str, spotted: Collection[tuple[str, str]]) -> None:
        """Find the input's values: whatever else is in the row speaks of these."""
        self.input = text
        self.words = {words: kind for kind, words in spotted if words.strip() and self._may_replace(words)}
        names = [words for words, kind in self.words.items() if kind == PERSON]
        self.persons = PersonNames(names, text=text, key=self.key, keep=self.keep)
        for found in (places := self._find(text)):
            _ = self._dressed(found.kind, text[found.start : found.end])
        # Again: a value that a word beside it gave away may also stand where no word does.
        self.places = self._find(text) if places else ()

    @property
    def replaced(self) -> dict[str, int]:
        counts = Counter(self.kinds.values())
        counts[PERSON] = self.persons.count
        return dict(+counts)

    def is_clean(self, text: str) -> bool:
        return not any(self._may_replace(text[each.start : each.end]) for each in find_personal(text))

    def replace(self, text: str) -> str:
        return "".join(self._replaced(text))

    def rebuild(self, value: Any) -> Any:
        """The same JSON value with its texts and numbers replaced."""
        match value:
            case str():
                return self._part(value)
            case bool() | None | float():
                return value
            case int():
                return self._number(value)
            case list():
                return [self.rebuild(each) for each in cast("list[Any]", value)]
            case dict():
                pairs = cast("dict[str, Any]", value).items()
                return {self.replace(name): self.rebuild(each) for name, each in pairs}
            case _:
                raise TypeError(f"{type(value).__name__} is no JSON value")

    def _part(self, text: str) -> str:
        """A text of the answer that is only a part of a value of the input stays that part."""
        if len(text) >= SHORTEST and PART.search(text):
            places = [match.start() for match in re.finditer(re.escape(text), self.input)]
            around = [
                next((f for f in self.places if f.start <= at and at + len(text) <= f.end), None)
                for at in places
            ]
            found = around[0] if around else None
            if found is not None and None not in around:
                value = self.input[found.start : found.end]
                pieces = self._dressed(found.kind, value)
                start = places[0] - found.start
                return "".join(pieces[start : start + len(text)])
        return self.replace(text)

    def _number(self, number: int) -> int:
        """Leading zeros are lost in a number, so it is looked up by its end."""
        digits = str(abs(number))
        for (family, value), pieces in list(self.known.items()):
            if family == "digits" and len(digits) >= SHORTEST and value.lstrip("+0") == digits:
                return int("".join(pieces)) * (-1 if number < 0 else 1)
        part = self._part(digits)
        return int(part) * (-1 if number < 0 else 1) if part.isdecimal() else number

    def _replaced(self, text: str) -> Iterator[str]:
        at = 0
        for found in self._find(text):
            yield text[at : found.start]
            value = text[found.start : found.end]
            yield "".join(self._dressed(found.kind, value))
            at = found.end
        yield text[at:]

    def _find(self, text: str) -> tuple[Found, ...]:
        """By the rules, by what is known already, by the spotter's words; the earlier ones first."""
        found = [each for each in find_personal(text) if self._may_replace(text[each.start : each.end])]
        for kind, start, end in (*self._known_numbers(text), *self._spotted_words(text)):
            if all(end <= other.start or start >= other.end for other in found):
                found.append(Found(cast("Any", kind), start, end))
        return tuple(sorted(found, key=lambda each: each.start))

    def _known_numbers(self, text: str) -> Iterator[tuple[str, int, int]]:
        for match in DIGIT_RUN.finditer(text):
            key = _key("phone", match[0])
            if key in self.known:
                yield self.kinds[key], *match.span()

    def _spotted_words(self, text: str) -> Iterator[tuple[str, int, int]]:
        for words, kind in sorted(self.words.items(), key=lambda item: -len(item[0])):
            if kind == PERSON:
                yield from ((kind, *place) for place in self.persons.whole(words, text))
                continue
            for match in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", text):
                yield kind, *match.span()
        yield from ((PERSON, *place) for place in self.persons.parts(text))

    def _may_replace(self, value: str) -> bool:
        return value.casefold() not in self.keep

    def _dressed(self, kind: str, value: str) -> Pieces:
        """What stands for every sign of a value."""
        if kind == PERSON:
            return self.persons.pieces(value)
        return dress(kind, value, self._pieces(kind, value))

    def _pieces(self, kind: str, value: str) -> Pieces:
        key = _key(kind, value)
        if key not in self.known:
            taken = {"".join(pieces) for pieces in self.known.values()} | {key[1]}
            random = Random(f"{self.key}/{kind}/{len(self.known)}")  # noqa: S311  the seed is the row's
            pieces = make_surrogate(kind, key[1], random)
            for _ in range(TRIES):
                if "".join(pieces) not in taken:
                    break
                pieces = make_surrogate(kind, key[1], random)
            self.known[key], self.kinds[key] = pieces, kind
        return self.known[key]


def _key(kind: str, value: str) -> tuple[str, str]:
    """One number is one value, whichever rule found it."""
    return ("digits" if kind in DIGITS else kind, plain(kind, value))


def _torn(text: str, rest: Any, new: Scrubbed, row: _Row) -> Iterator[str]:
    """What the answer had from the input and has no more."""
    for old, now in zip(_texts(rest), _texts(new.rest), strict=True):
        was_there = len(old) >= SHORTEST and old.casefold() in text.casefold()
        if was_there and now.casefold() not in new.input.casefold():
            yield "a part of its answer was cut out of a personal value"
        elif any(_is_elsewhere(found, old, row) for found in find_personal(old)):
            yield "its answer holds a personal value in a form that the input does not have"


def _is_elsewhere(found: Found, text: str, row: _Row) -> bool:
    """Whether the input has values of this kind, but not this one."""
    value = text[found.start : found.end]
    there = {_key(each.kind, row.input[each.start : each.end]) for each in row.places}
    kinds = {each.kind for each in row.places}
    return found.kind in kinds and _key(found.kind, value) not in there and value not in row.input


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in cast("list[Any]", value):
                yield from _texts(each)
        case dict():
            for name, each in cast("dict[str, Any]", value).items():
                yield name
                yield from _texts(each)
        case _:
            pass
