"""A typed Python function as a tool that a model may call: name, description, argument schema, effect.

Not the call loop (that is the agent's) and not the record of effects (that is the ledger's).
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pydantic_core
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError, validate_call

from shoal.core.chat import JsonSchema
from shoal.core.errors import ConfigError, OutputInvalid

__all__ = ["Effect", "Tool"]

Effect = Literal["read", "idempotent", "verifiable", "at_most_once"]
"""read: changes nothing. idempotent: the same key again changes nothing more. verifiable: one can ask
whether it happened. at_most_once: never repeated; when in doubt a person decides."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What a model may call. Build one with `Tool.of(function)`."""

    name: str
    description: str
    schema: JsonSchema
    """JSON schema of the arguments, an object."""
    function: Callable[..., object]
    effect: Effect = "read"

    @classmethod
    def of(cls, function: Callable[..., object], *, effect: Effect = "read") -> "Tool":
        """A tool from a function's name, docstring and annotations.

        Raises:
            ConfigError: a parameter has no type, a type pydantic cannot validate, or there is no docstring:
                the model would have to guess.
        """
        name = getattr(function, "__name__", "")
        if not NAME.fullmatch(name):
            raise ConfigError(f"{function!r} cannot be a tool", why="a tool is a named function")
        description = inspect.getdoc(function) or ""
        untyped = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.annotation is inspect.Parameter.empty
            or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY)
        ]
        if untyped or not description:
            why = f"no usable type for {', '.join(untyped)}" if untyped else "it has no docstring"
            raise ConfigError(
                f"{name} cannot be a tool",
                why=f"{why}, so a model could only guess how to call it",
                mend=f'def {name}(order_id: str) -> str: """Say what it does."""',
            )
        try:
            schema = TypeAdapter[Any](cast("Any", function)).json_schema()
            checked = cast("Callable[..., object]", validate_call(cast("Any", function)))
        except PydanticSchemaGenerationError as error:
            raise ConfigError(f"{name} cannot be a tool", why=str(error)) from error
        return cls(name=name, description=description, schema=schema, function=checked, effect=effect)

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Validate the arguments, run the function, and return its result as text (JSON unless a str).

        Raises:
            OutputInvalid: the model's arguments do not fit, or the function raised: the model may try again.
        """
        try:
            result = self.function(**arguments)
            if inspect.isawaitable(result):
                result = await cast("Awaitable[object]", result)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()[:5])
            raise OutputInvalid(
                f"the arguments for {self.name} do not fit", text=str(dict(arguments)), why=faults
            ) from error
        except Exception as error:
            raise OutputInvalid(
                f"the tool {self.name} failed",
                text=str(dict(arguments)),
                why=f"{type(error).__name__}: {error}",
            ) from error
        return result if isinstance(result, str) else pydantic_core.to_json(result).decode()
