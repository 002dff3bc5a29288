"""The names of the persons in one row: where they stand, and what stands there instead.

No model: a spotter said who is named. It says so once and in one form; the row names the same person in
capitals, by one name of two, or in its answer. So every word of a name has one replacement all over the row.
Many names are words as well (Will, May, Rose): one alone is taken for a name where it has a capital.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import permutations
from random import Random

from shoal.harvesting.surrogate import Pieces, make_surrogate

__all__ = ["PersonNames"]

GIVEN = (
    *("Alma", "Bruno", "Clara", "David", "Elena", "Felix"),
    *("Greta", "Hugo", "Irene", "Jonas", "Karin", "Leon"),
)
FAMILY = (
    *("Adler", "Berg", "Costa", "Dorn", "Engel", "Falk"),
    *("Garner", "Holm", "Ivers", "Jansen", "Kern", "Lund"),
)
TITLES = frozenset(
    {"mr", "mrs", "ms", "mx", "miss", "sir", "madam", "dr", "prof", "professor", "herr", "herrn", "frau"}
    | {"jr", "sr"}
)
"""Words of a spotted name that name nobody."""
LINKS = frozenset(
    {"von", "van", "der", "den", "ter", "zu", "zum", "de", "del", "della", "di", "da", "dos", "du"}
    | {"la", "le", "los", "al", "el", "bin", "ibn", "und", "and", "y"}
)
"""Name nobody in the middle of a name; at its ends they may (Al, Du, Le), but for the von of "von Trapp"."""
ALONE = 2
"""Letters of a name, at least, for it to be looked for without the others."""
SURE = 3
"""Letters, at least, of a name that is looked for in forms in which it cannot be replaced."""
HANDLE = 6
"""Letters of two names, at least, to be looked for inside a word: annlee84."""
APOSTROPHE = re.compile(r"['\u2019]")
WORD = re.compile(rf"(?!(?<={APOSTROPHE.pattern})[sS]\b)[^\W_]+(?:{APOSTROPHE.pattern}(?![sS]\b)[^\W_]+)*")
"""O'Brien is one, and so is Smith in Smith's."""
POSSESSIVE = re.compile(rf"{APOSTROPHE.pattern}s$", re.IGNORECASE)

Place = tuple[int, int]


class PersonNames:
    """What replaces which word; the same names, text and key give the same."""

    def __init__(self, names: Iterable[str], *, text: str, key: str, keep: Collection[str]) -> None:
        """`text` is the row's input: no replacement is a word of it. `keep` are values that stay."""
        self._words = {name: _words(name) for name in names}
        """The words that name somebody, by spotted name."""
        kept = "|".join(re.escape(value) for value in sorted(keep, key=len, reverse=True) if value.strip())
        self._kept = re.compile(rf"(?<!\w)(?:{kept})(?!\w)", re.IGNORECASE) if kept else None
        self._key = key
        self._taken = {_fold(word) for word in WORD.findall(text)}
        self._new: dict[str, str] = {}
        # The longest first: Lee is a family name if it is one anywhere.
        for words in sorted(self._words.values(), key=len, reverse=True):
            for place, word in enumerate(words):
                self._replace(word, FAMILY if 0 < place == len(words) - 1 else GIVEN)
        self._alone = _either(word for word in self._all() if len(word) >= ALONE)
        sure = [word for word in self._all() if len(word) >= SURE]
        self._plural = _either(f"{word}s" for word in sure)
        # Whoever writes a name small writes it so elsewhere, where it cannot be told from a word.
        self._small = _either(word for word in sure if word[0].islower())
        self._handles = [
            re.compile(rf"{_spelt(one)}[\W_]{{0,2}}{_spelt(two)}", re.IGNORECASE)
            for words in self._words.values()
            for one, two in permutations(dict.fromkeys(words), 2)
            if len(one + two) >= HANDLE
        ]
        self._found: set[frozenset[str]] = set()

    @property
    def count(self) -> int:
        """Persons that were replaced; who is named in full and in part is one."""
        return sum(not any(one < other for other in self._found) for one in self._found)

    def whole(self, name: str, text: str) -> Iterator[Place]:
        """Where one of the spotted names stands, in any case; one of a single word only with its capital."""
        if not self._words.get(name):
            return
        bare = POSSESSIVE.sub("", name.strip())
        pattern = _bounded(r"\s+".join(_spelt(word) for word in bare.split()), bare)
        has_capital = len(WORD.findall(bare)) == 1 and not bare[0].islower()
        yield from self._free(text, re.compile(pattern, re.IGNORECASE), capital=has_capital)

    def parts(self, text: str) -> Iterator[Place]:
        """Where a word of a name stands with a capital."""
        return self._free(text, self._alone, capital=True)

    def pieces(self, value: str) -> Pieces:
        """Of a name or a part of one, in its capitals; what stands for a word is at its first sign."""
        pieces = list(value)
        words = [match for match in WORD.finditer(value) if _fold(match[0]) in self._new]
        for match in words:
            new = _shaped(self._new[_fold(match[0])], match[0])
            pieces[match.start() : match.end()] = [new, *[""] * (len(match[0]) - 1)]
        if words:
            self._found.add(frozenset(_fold(match[0]) for match in words))
        return tuple(pieces)

    def is_left(self, text: str) -> bool:
        """Whether somebody is still named, for instance in a form that cannot be replaced."""
        if self._kept is not None:
            text = self._kept.sub(" ", text)
        return (
            (len(text.strip()) >= ALONE and _fold(text.strip()) in self._new)
            or any(True for name in self._words for _ in self.whole(name, text))
            or any(True for _ in self.parts(text))
            or any(True for _ in self._free(text, self._plural, capital=True))
            or any(True for _ in self._free(text, self._small, capital=False))
            or any(handle.search(text) for handle in self._handles)
        )

    def _all(self) -> Iterator[str]:
        return (word for words in self._words.values() for word in words)

    def _free(self, text: str, pattern: re.Pattern[str] | None, *, capital: bool) -> Iterator[Place]:
        """Without what is kept, and without what lacks a capital that it must have."""
        kept = [match.span() for match in self._kept.finditer(text)] if self._kept is not None else []
        for match in pattern.finditer(text) if pattern is not None else ():
            start, end = match.span()
            is_free = all(end <= other[0] or start >= other[1] for other in kept)
            if is_free and not (capital and match[0][0].islower()):
                yield start, end

    def _replace(self, word: str, names: tuple[str, ...]) -> None:
        if _fold(word) in self._new:
            return
        random = Random(f"{self._key}/PERSON/{len(self._new)}")  # noqa: S311  the seed is the row's
        if len(word) == 1:
            names = tuple({name[0]: name for name in GIVEN})
        free = [name for name in names if name.casefold() not in self._taken]
        is_name = APOSTROPHE.sub("", word).isalpha()
        # A user's name with digits in it keeps its form, and so do more names than there are here.
        made = "".join(make_surrogate("PERSON", word.capitalize(), random))
        new = random.choice(free) if is_name and free else made
        self._new[_fold(word)] = new
        self._taken.add(new.casefold())


def _words(name: str) -> tuple[str, ...]:
    """The words of a name that name somebody."""
    words = [word for word in WORD.findall(name) if word.casefold() not in TITLES]
    return tuple(
        word
        for place, word in enumerate(words)
        if word.casefold() not in LINKS
        or place == len(words) - 1
        or (place == 0 and not (word.islower() and not words[-1].islower()))
    )


def _fold(word: str) -> str:
    return APOSTROPHE.sub("'", word.casefold())


def _shaped(new: str, old: str) -> str:
    if old.islower():
        return new.lower()
    return new.upper() if len(old) > 1 and old.isupper() else new


def _spelt(word: str) -> str:
    """As a pattern: with either apostrophe, and with capitals that are more letters, as in WEISS for Weiß."""
    ways = "|".join(dict.fromkeys(re.escape(way) for way in (word, word.upper())))
    return f"(?:{APOSTROPHE.sub(lambda _: APOSTROPHE.pattern, ways)})"


def _bounded(pattern: str, word: str) -> str:
    """Whole words only, in scripts that have capitals; others put no space between words."""
    return rf"(?<![^\W_]){pattern}(?![^\W_])" if word.lower() != word.upper() else pattern


def _either(words: Iterable[str]) -> re.Pattern[str] | None:
    ways = [_bounded(_spelt(word), word) for word in sorted(set(words), key=lambda word: (-len(word), word))]
    return re.compile("|".join(ways), re.IGNORECASE) if ways else None
