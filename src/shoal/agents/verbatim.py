"""`Verbatim`: a string of an output type that an answer may only take from its input."""

from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import core_schema

from shoal.core.verbatim import VERBATIM, find_verbatim

__all__ = ["Verbatim"]


class _FromInput:
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(_find, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), VERBATIM: True}


def _find(value: str, info: ValidationInfo) -> str:
    """Where it is not known which text was read, as in an example or an answer of the ledger, any will do."""
    if not info.context:
        return value
    found = find_verbatim(value, info.context["input"])
    if found is None:
        raise ValueError("these words do not stand in the text")
    return found


Verbatim = Annotated[str, _FromInput()]
"""Words of the text that was asked about, as they stand there: `slots: dict[str, list[Verbatim]]`.

The embedded engine (texts of up to 200 words) and Ollama (27) can say nothing else; an answer that still has
other words is not of its type. Case and runs of spaces do not count, and the answer has those of the text.
"""
