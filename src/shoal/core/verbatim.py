"""Text that an answer may only take from its input, as the engines are told of it.

JSON schema has no word for it, so an agent's schema says `x-verbatim` of such a string. Engines that hold an
answer to a grammar are given all runs of words of the text, as a list or as a pattern. Where that would be
long they are told "a string", and the answer is checked alone.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from shoal.core.chat import JsonSchema

__all__ = ["VERBATIM", "find_verbatim", "list_verbatim", "match_verbatim", "plain_verbatim"]

VERBATIM = "x-verbatim"
MOST_LISTED = 400
"""Runs of a text of 27 words; their number grows with its square."""
MOST_MATCHED = 200
"""Words of a text that a pattern may nest: parsers of patterns stop at some depth (Rust's at 250)."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese; and Korean, which puts none before its particles."""
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")
"""Where a run may begin and end: at a word or a mark; in scripts without spaces at any character."""
SPECIAL = re.compile(r"[^\w\s]", re.ASCII)


def list_verbatim(schema: JsonSchema, text: str) -> JsonSchema:
    """The schema with a list in place of every string that comes from `text`, if the list is short."""
    words = list(WORD.finditer(text))
    if not words or len(words) * (len(words) + 1) // 2 > MOST_LISTED:
        return plain_verbatim(schema)
    runs = (
        " ".join(text[first.start() : last.end()].split())
        for at, first in enumerate(words)
        for last in words[at:]
    )
    return _replace(schema, {"enum": list(dict.fromkeys(runs))})


def match_verbatim(schema: JsonSchema, text: str) -> JsonSchema:
    """The schema with a pattern in place of every string that comes from `text`, if the text is no book."""
    words = list(WORD.finditer(text))
    if not words or len(words) > MOST_MATCHED:
        return plain_verbatim(schema)
    runs, rest = list[str](), ""
    for word, after in reversed(list(zip(words, [*words[1:], None], strict=True))):
        if after is not None:
            gap = " " if after.start() > word.end() else ""
            rest = f"(?:{gap}{rest})?"
        rest = SPECIAL.sub(lambda mark: f"\\{mark[0]}", word[0]) + rest
        runs.append(rest)
    return _replace(schema, {"type": "string", "pattern": f"^(?:{'|'.join(dict.fromkeys(reversed(runs)))})$"})


def plain_verbatim(schema: JsonSchema) -> JsonSchema:
    """The schema in standard words alone."""
    return _replace(schema, {"type": "string"})


def find_verbatim(value: str, text: str) -> str | None:
    """`value` in the spelling of `text`; None = it does not stand there. Case and runs of spaces aside.

    Where it stands more than once: rather as whole words than inside one, then rather as it is spelt.
    """
    wanted, said = " ".join(value.split()), " ".join(text.split())
    if not wanted:
        return None
    words = [word.span() for word in WORD.finditer(said)]
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    found = min(
        re.finditer(re.escape(wanted), said, re.IGNORECASE),
        key=lambda match: (match.start() not in starts or match.end() not in ends, match[0] != wanted),
        default=None,
    )
    return None if found is None else found[0]


def _replace(node: Any, value: Mapping[str, Any]) -> Any:
    if isinstance(node, Mapping):
        schema = cast("Mapping[str, Any]", node)
        if schema.get(VERBATIM) is True:
            kept = {key: each for key, each in schema.items() if key not in {VERBATIM, "type"}}
            return {**kept, **value}
        return {key: _replace(each, value) for key, each in schema.items()}
    if isinstance(node, list):
        return [_replace(each, value) for each in cast("list[Any]", node)]
    return node
