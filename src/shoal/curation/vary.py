"""More rows from few: each row once more, with other values where its answer quotes its text.

"Play ABBA on Tuesday" with the artist and the day of other rows. What is learnt is then where a value stands,
not which values there are; a tiny model knows its rows by heart after some passes. Only strings that the
agent's type calls `Verbatim` are changed: the type alone says that they are quotes and no labels.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from shoal.agents.row import Row
from shoal.core.chat import JsonSchema
from shoal.core.verbatim import VERBATIM

__all__ = ["vary"]

CHANGED = 0.5
"""Share of the values that are changed: some that go together, a city and its country, stay together."""
Path = tuple[str | int, ...]
Kind = tuple[tuple[str, ...], tuple[str, ...]]
"""Names on the way to a value, and the labels beside that way."""


@dataclass(frozen=True, slots=True)
class _Quote:
    path: Path
    kind: Kind
    value: str


_Place = tuple[int, int, _Quote]
"""Where in its text a quote begins and ends."""


def vary(rows: Sequence[Row], schema: JsonSchema, *, times: int, seed: int) -> tuple[Row, ...]:
    """Up to `times` variants of each row, those of a row all different from it; same seed, same variants.

    A value is changed for one of the same field, beside the same labels, of another row. A row whose answer
    quotes nothing, or only what stands in its text twice, has none.
    """
    quotes = [list(_quotes(row.expected, schema, schema)) for row in rows]
    known: dict[Kind, dict[str, None]] = defaultdict(dict)
    for quote in (quote for some in quotes for quote in some):
        known[quote.kind][quote.value] = None
    values = {kind: list(some) for kind, some in known.items()}
    draw = random.Random(seed)  # noqa: S311 (nobody is to be surprised)
    places = [_places(row.input, some) for row, some in zip(rows, quotes, strict=True)]
    drawn = (
        _change(row, some, values, draw) for _ in range(times) for row, some in zip(rows, places, strict=True)
    )
    return tuple(row for row in drawn if row is not None)


def _change(
    row: Row, places: Sequence[_Place], values: Mapping[Kind, Sequence[str]], draw: random.Random
) -> Row | None:
    text, expected = row.input, row.expected
    for start, end, quote in reversed(places):
        if draw.random() < CHANGED:
            other = draw.choice(values[quote.kind])
            text = text[:start] + other + text[end:]
            expected = _put(expected, quote.path, other)
    # The teacher's reasons and second thoughts were about the other text.
    return (
        replace(row, input=text, expected=expected, rationale=None, samples=()) if text != row.input else None
    )


def _places(text: str, quotes: Sequence[_Quote]) -> list[_Place]:
    """Where each value stands, in order; none that stands there twice, or reaches into another."""
    found: list[_Place] = []
    for quote in quotes:
        places = list(re.finditer(rf"(?<!\w){re.escape(quote.value)}(?!\w)", text))
        if len(places) == 1:
            found.append((*places[0].span(), quote))
    found.sort(key=lambda place: place[:2])
    return [
        place
        for at, place in enumerate(found)
        if all(place[0] >= other[1] or place[1] <= other[0] for other in found[:at] + found[at + 1 :])
    ]


def _quotes(
    value: Any, schema: JsonSchema, root: JsonSchema, path: Path = (), labels: tuple[str, ...] = ()
) -> Iterator[_Quote]:
    """The verbatim strings in a value of the schema."""
    schema = _resolve(schema, root)
    for alternative in schema.get("anyOf", ()):
        yield from _quotes(value, alternative, root, path, labels)
    match value:
        case str() if schema.get(VERBATIM) is True and value:
            yield _Quote(path, (tuple(step for step in path if isinstance(step, str)), labels), value)
        case Mapping():
            inner = cast("Mapping[str, Any]", value)
            schemas = {name: _of_property(schema, name) for name in inner}
            labels += tuple(
                str(each)
                for name, each in inner.items()
                if isinstance(each, str) and not _is_verbatim(schemas[name], root)
            )
            for name, each in inner.items():
                yield from _quotes(each, schemas[name], root, (*path, name), labels)
        case list():
            for at, each in enumerate(cast("list[Any]", value)):
                yield from _quotes(each, schema.get("items", {}), root, (*path, at), labels)
        case _:
            pass


def _is_verbatim(schema: JsonSchema, root: JsonSchema) -> bool:
    schema = _resolve(schema, root)
    return schema.get(VERBATIM) is True or any(_is_verbatim(each, root) for each in schema.get("anyOf", ()))


def _of_property(schema: JsonSchema, name: str) -> JsonSchema:
    found = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return cast("JsonSchema", found) if isinstance(found, Mapping) else {}


def _resolve(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    while "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        schema = cast("JsonSchema", root["$defs"][name])
    return schema


def _put(value: Any, path: Path, other: str) -> Any:
    """The value with `other` at `path`; what was given stays as it is."""
    if not path:
        return other
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        inner = cast("list[Any]", value)
        return [_put(each, rest, other) if at == step else each for at, each in enumerate(inner)]
    named = cast("Mapping[str, Any]", value)
    return {name: _put(each, rest, other) if name == step else each for name, each in named.items()}
