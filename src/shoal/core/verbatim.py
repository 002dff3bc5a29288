"""Text that an answer may only take from its input, as the engines are told of it.

JSON schema has no word for it, so an agent's schema says `x-verbatim` of such a string. Engines that can hold
an answer to a list are given the list: all runs of words of the text. Where it would be long they are told
"a string", and the answer is checked alone.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from shoal.core.chat import JsonSchema

__all__ = ["VERBATIM", "find_verbatim", "narrow_verbatim", "plain_verbatim"]

VERBATIM = "x-verbatim"
MOST_RUNS = 400
"""Runs of a text of 27 words; their number grows with its square."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese; and Korean, which puts none before its particles."""
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")
"""Where a run may begin and end: at a word or a mark; in scripts without spaces at any character."""


def narrow_verbatim(schema: JsonSchema, text: str) -> JsonSchema:
    """The schema with a list in place of every string that comes from `text`, if the list is short."""
    runs = _runs(text)
    return _replace(schema, {"enum": runs} if runs else {"type": "string"})


def plain_verbatim(schema: JsonSchema) -> JsonSchema:
    """The schema in standard words alone."""
    return _replace(schema, {"type": "string"})


def find_verbatim(value: str, text: str) -> str | None:
    """`value` in the spelling of `text`; None = it does not stand there. Case and runs of spaces aside."""
    wanted = " ".join(value.split())
    match = re.search(re.escape(wanted), " ".join(text.split()), re.IGNORECASE) if wanted else None
    return match[0] if match else None


def _runs(text: str) -> list[str]:
    """Longest list there may be, else none; each once, in the order of the text."""
    words = list(WORD.finditer(text))
    if len(words) * (len(words) + 1) // 2 > MOST_RUNS:
        return []
    runs = (
        " ".join(text[first.start() : last.end()].split())
        for at, first in enumerate(words)
        for last in words[at:]
    )
    return list(dict.fromkeys(runs))


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
