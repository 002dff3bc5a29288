"""Tool use through a schema: the model writes `{"tool": ..., "args": ...}` or `{"answer": ...}`.

Native tool calling is not used: with small models engines answer empty, or fail while parsing the call.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.core.chat import JsonSchema
from shoal.core.errors import OutputInvalid
from shoal.tools import Tool

__all__ = ["ToolCall", "parse_step", "tool_schema"]

ToolCall = tuple[str, Mapping[str, Any]]
"""(tool name, arguments)"""


def tool_schema(tools: Sequence[Tool], answer: JsonSchema | None) -> JsonSchema:
    """Either a call of one of the tools or the final answer."""
    definitions: dict[str, Any] = {}
    variants = [
        _object(
            tool={"const": tool.name, "description": tool.description}, args=_hoist(tool.schema, definitions)
        )
        for tool in tools
    ]
    variants.append(_object(answer=_hoist(answer or {"type": "string"}, definitions)))
    return {"anyOf": variants} | ({"$defs": definitions} if definitions else {})


def parse_step(agent: str, text: str) -> ToolCall | str:
    """A tool call, or the final answer as text (JSON unless it is a string).

    Raises:
        OutputInvalid: the text is neither.
    """
    try:
        parsed: Any = json.loads(text)
    except ValueError as error:
        raise OutputInvalid(
            f"{agent} wrote neither a tool call nor an answer", text=text, why=str(error)
        ) from error
    match parsed:
        case {"tool": str(name), "args": dict()}:
            return name, parsed["args"]
        case {"answer": str(answer)}:
            return answer
        case {"answer": _}:
            return json.dumps(parsed["answer"], ensure_ascii=False)
        case _:
            raise OutputInvalid(
                f"{agent} wrote neither a tool call nor an answer", text=text, why='no "tool" and no "answer"'
            )


def _object(**properties: JsonSchema) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _hoist(schema: JsonSchema, definitions: dict[str, Any]) -> JsonSchema:
    """Move `$defs` to the top, where `#/$defs/...` references expect them."""
    definitions.update(schema.get("$defs", {}))
    return {key: value for key, value in schema.items() if key != "$defs"}
