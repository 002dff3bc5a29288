"""What a request for a tool call looks like: its functions, their parameters, which of these it fills.

A call goes wrong where functions resemble each other, where parameters are many, nested or optional, and
where the request does not spell their values out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["TOOL_FEATURES", "tool_form"]

WORD = re.compile(r"[a-z]+|\d+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SIMPLE = ("string", "integer", "float", "number", "boolean")
NESTED = ("array", "list", "tuple", "dict", "object")
HINT = re.compile(
    r"\b(?:format|must|should|e\.g|for example|such as|in the form|default|optional|list of)\b", re.IGNORECASE
)

TOOL_FEATURES = 22
Function = Mapping[str, Any]


def tool_form(prompt: str, functions: Sequence[Function]) -> list[float]:
    """`TOOL_FEATURES` numbers; zeros where the prompt comes without functions."""
    if not functions:
        return [0.0] * TOOL_FEATURES
    asked = _words(prompt)
    likeness = [_share(_words(_title(function)), asked) for function in functions]
    best = max(range(len(functions)), key=likeness.__getitem__)
    rivals = sorted((value for at, value in enumerate(likeness) if at != best), reverse=True)
    return [
        1.0,
        math.log(len(functions)),
        likeness[best],
        likeness[best] - rivals[0] if rivals else 1.0,
        *_parameters(prompt, asked, functions[best]),
    ]


def _parameters(prompt: str, asked: set[str], function: Function) -> list[float]:
    schema: Mapping[str, Any] = function.get("parameters") or {}
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    required = [name for name in schema.get("required") or () if name in properties]
    kinds = [str(properties[name].get("type", "")).lower() for name in properties]
    described = [str(value.get("description", "")) for value in properties.values()]
    numbers = len(NUMBER.findall(prompt))
    wanted = sum(
        str(properties[name].get("type", "")).lower() in ("integer", "float", "number") for name in required
    )
    named = [_share(_words(name), asked) for name in required]
    return [
        math.log1p(len(properties)),
        math.log1p(len(required)),
        math.log1p(len(properties) - len(required)),
        *(math.log1p(sum(kind == name for kind in kinds)) for name in SIMPLE),
        math.log1p(sum(kind in NESTED for kind in kinds)),
        math.log1p(sum("enum" in value for value in properties.values())),
        math.log1p(sum("default" in value for value in properties.values())),
        math.log1p(sum(HINT.search(text) is not None for text in described)),
        math.log1p(sum(map(len, described)) / max(1, len(described))),
        sum(named) / len(named) if named else 1.0,
        float(numbers - wanted),
        abs(float(numbers - wanted)),
        math.log1p(_depth(schema)),
        float(re.search(r"\b(?:and|also|then|both|each)\b", prompt) is not None),
    ]


def _title(function: Function) -> str:
    return f"{function.get('name', '')} {function.get('description', '')}"


def _words(text: str) -> set[str]:
    return {
        word[:5] for word in WORD.findall(CAMEL.sub(" ", text).lower()) if len(word) > 2 or word.isdigit()
    }


def _share(part: set[str], whole: set[str]) -> float:
    return len(part & whole) / max(1, len(part))


def _depth(schema: Any) -> int:
    match schema:
        case dict():
            return 1 + max(map(_depth, cast("dict[str, Any]", schema).values()), default=0)
        case list():
            return max(map(_depth, cast("list[Any]", schema)), default=0)
        case _:
            return 0
