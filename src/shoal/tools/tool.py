"""A typed Python function as a tool that a model may call: name, description, argument schema, effect.

Not the call loop (that is the agent's) and not the record of effects (that is the ledger's).
"""

import asyncio
import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import pydantic_core
from pydantic import (
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    validate_call,
)

from shoal.core.chat import JsonSchema
from shoal.core.errors import ConfigError, OutputInvalid, StorageError, ToolFailed

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
    bind: Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]
    """Keyword arguments as a model wrote them to what `function` takes; raises pydantic's ValidationError."""
    effect: Effect = "read"

    @classmethod
    def of(cls, function: Callable[..., object], *, effect: Effect = "read") -> "Tool":
        """A tool from a function's name, docstring and annotations.

        Sync functions run in a thread, so that none blocks the event loop. A cancelled call lets its thread
        run to the end and drops the result.

        Raises:
            ConfigError: a parameter has no type, a type pydantic cannot validate, or there is no docstring:
                the model would have to guess.
        """
        name = getattr(function, "__name__", "")
        if not NAME.fullmatch(name):
            raise ConfigError(f"{function!r} cannot be a tool", why="a tool is a named function")
        description = inspect.getdoc(function) or ""
        problem = _untold(function) if description else "it has no docstring"
        if problem:
            raise ConfigError(
                f"{name} cannot be a tool",
                why=f"{problem}, so a model could only guess how to call it",
                mend=f'def {name}(order_id: str) -> str: """Say what it does."""',
            )
        try:
            schema = TypeAdapter[Any](cast("Any", function)).json_schema()
            bind = _binder(function)
        except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
            raise ConfigError(f"{name} cannot be a tool", why=str(error)) from error
        return cls(
            name=name, description=description, schema=schema, function=function, bind=bind, effect=effect
        )

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """Validate the arguments, run the function, and return its result as text (JSON unless a str).

        Raises:
            OutputInvalid: the arguments do not fit; nothing was done.
            ToolFailed: the function raised.
            ConfigError, StorageError: raised by the function itself; no model can mend these.
        """
        given, named = self._validated(arguments)
        try:
            result = await self._run(given, named)
            return result if isinstance(result, str) else pydantic_core.to_json(result).decode()
        except (ConfigError, StorageError):
            raise
        except Exception as error:
            raise ToolFailed(
                f"the tool {self.name} failed", why=f"{type(error).__name__}: {error}"
            ) from error

    def _validated(self, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        try:
            return self.bind(**arguments)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()[:5])
            raise OutputInvalid(
                f"the arguments for {self.name} do not fit", text=str(dict(arguments)), why=faults
            ) from error

    async def _run(self, given: tuple[Any, ...], named: dict[str, Any]) -> object:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(*given, **named)
        result = await asyncio.to_thread(self.function, *given, **named)
        return await cast("Awaitable[object]", result) if inspect.isawaitable(result) else result


def _untold(function: Callable[..., object]) -> str:
    """What the signature leaves open; empty when it says everything."""
    unusable = {
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    }
    parameters = inspect.signature(function).parameters.values()
    open_ones = [p.name for p in parameters if p.annotation is p.empty or p.kind in unusable]
    return f"no usable type for {', '.join(open_ones)}" if open_ones else ""


def _binder(function: Callable[..., object]) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    """Validates like the function's own signature, but runs nothing: so what fails later is the function."""

    @functools.wraps(function)
    def bind(*given: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return given, named

    return cast("Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]", validate_call(cast("Any", bind)))
