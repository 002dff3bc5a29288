"""The mould of a row: its text with every value that the answer takes from it replaced by the field's name.

Rows of one mould differ in what was filled in. One that was learnt from says how well the mould is known, not
how well others will be read: so rows of one mould stay on one side of a split.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from shoal.curation.duplicates import normalise

__all__ = ["template_of"]


def template_of(text: str, expected: Any) -> str:
    """The text with names for values: of "Play ABBA on Tuesday", which expects {"artist": "ABBA"}, it is
    "play <artist> on tuesday". Digits that are left become 0.
    """
    names: dict[str, str] = {}
    _collect(expected, "", names)
    plain = normalise(text)
    if names:
        longest_first = sorted(names, key=lambda value: -len(value))
        values = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
        plain = values.sub(lambda found: f"<{names[found[0]]}>", plain)
    return re.sub(r"\d+", "0", plain)


def _collect(value: Any, path: str, names: dict[str, str]) -> None:
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            _collect(inner, str(name), names)
    elif isinstance(value, list | tuple):
        for inner in cast("Sequence[Any]", value):
            _collect(inner, path, names)
    elif value is not None and not isinstance(value, bool):
        said = normalise(str(value))
        if len(said) > 1 or said.isdigit():
            names.setdefault(said, path)
