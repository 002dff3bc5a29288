"""A smallest value that a JSON schema allows: what the fake answers where nobody scripted an answer.

Covers the keywords pydantic writes for plain models; it is not a validator.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["TYPES", "example_of"]

TYPES: Mapping[str, Any] = {
    "string": "text",
    "integer": 0,
    "number": 0.5,
    "boolean": True,
    "null": None,
    "array": (),
    "object": {},
}
"""The types a schema may name, each with an example."""


def example_of(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """The first of what is allowed: first enum value, first alternative, every property."""
    root = schema if root is None else root
    if "$ref" in schema:
        return example_of(_resolve(schema["$ref"], root), root)
    for keyword in ("enum", "anyOf", "oneOf", "allOf"):
        if keyword in schema:
            first = schema[keyword][0]
            return first if keyword == "enum" else example_of(first, root)
    return schema["const"] if "const" in schema else _example_of_type(schema, root)


def _example_of_type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    match schema.get("type", "object"):
        case "object":
            properties: Mapping[str, Any] = schema.get("properties", {})
            return {name: example_of(each, root) for name, each in properties.items()}
        case "array":
            return [example_of(schema.get("items", {}), root)] * schema.get("minItems", 1)
        case "integer" | "number" as kind:
            return schema.get("minimum", schema.get("maximum", TYPES[kind]))
        case "string":
            text = str(TYPES["string"]).ljust(schema.get("minLength", 0), "x")
            return text[: schema.get("maxLength", len(text))]
        case kind:
            return TYPES[kind]


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
