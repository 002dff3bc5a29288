"""A typed Python function as a chat model, for what needs no language model.

Look-ups, patterns, classical classifiers: `def order_id(text: str) -> Order`. The function reads the text
itself (`ChatRequest.input`) and, if it asks for them, the passages; not the messages built from them.
"""

import asyncio
import inspect
import time
import traceback
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast, final

from pydantic_core import PydanticSerializationError, to_json

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import ConfigError, ModelError, RequestRefused, ShoalError
from shoal.core.passage import Passage
from shoal.core.port import ModelInfo
from shoal.core.source import source_digest
from shoal.core.usage import Usage

__all__ = ["FunctionModel", "ModelFunction", "Scored"]

T = TypeVar("T")
ModelFunction = Callable[[str], object] | Callable[[str, tuple[Passage, ...]], object]
"""Sync or async; the second argument must be called `passages`."""
SHAPES = "def f(text: str) -> T, or def f(text: str, passages: tuple[Passage, ...]) -> T"


@dataclass(frozen=True, slots=True)
class Scored(Generic[T]):
    """A result that knows how likely it is to be right."""

    value: T
    probability: float | None
    """In [0, 1]; None = unknown. A value returned alone is what the code says: certain."""


@final
class FunctionModel:
    """Answers with what a function returns.

    A str goes out as it is, anything else (pydantic models, dataclasses, dicts, numbers) as JSON. Under a
    schema everything is JSON, a str too, so that it can be a label. None is an empty answer, or null under
    a schema. A function has no tokens, so that asking for logprobs gives none.

    Sync functions run in a thread, several at once if several are asked: 27 us a call buys an event loop
    that no function can block. A cancelled call lets its thread run to the end and drops the result.
    """

    def __init__(self, function: ModelFunction) -> None:
        """Raises ConfigError when the function cannot be called with a text, or a text and passages."""
        self._function = cast("Callable[..., Any]", function)
        self._name = f"python:{getattr(function, '__name__', type(function).__name__)}"
        self._takes_passages = _takes_passages(self._function, self._name)
        self._is_async = _is_async(self._function)

    @property
    def name(self) -> str:
        """`python:` and the name of the function."""
        return self._name

    @cached_property
    def _digest(self) -> str | None:
        return source_digest(self._function)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Call the function; its whole result is one delta.

        Raises:
            RequestRefused: a LoRA adapter is asked for.
            ModelError: the function raised, or returned what is neither text nor JSON.
            ShoalError: one that the function raised itself, unchanged.
        """
        if request.adapter is not None:
            raise RequestRefused(f"{self._name} is a function: it has no weights to apply an adapter to")
        asked = time.perf_counter()
        started, result = await self._call(request)
        answered = time.perf_counter()
        scored = _as_scored(result)
        text = self._as_text(scored.value, as_json=request.schema is not None)
        if text:
            yield ChatDelta(text=text)
        yield ChatResponse(
            text=text,
            finish_reason="stop",
            usage=Usage(
                input_tokens=0,
                output_tokens=0,
                cached_tokens=0,
                queue_s=started - asked,
                load_s=0.0,
                prefill_s=0.0,
                decode_s=answered - started,
                first_token_s=answered - asked,
            ),
            model=self._name,
            digest=self._digest,
            probability=self._checked(scored.probability),
        )

    async def describe(self) -> ModelInfo:
        return ModelInfo(
            name=self._name, digest=self._digest, size_bytes=0, capabilities=frozenset({"schema"})
        )

    async def count_tokens(self, request: ChatRequest) -> int | None:
        del request  # the port asks for it; a function reads text, not tokens
        return 0

    async def aclose(self) -> None:
        """Nothing to give back."""

    async def _call(self, request: ChatRequest) -> tuple[float, object]:
        """When the function began, on the clock of `time.perf_counter`, and what it returned."""
        arguments = (request.input, request.passages) if self._takes_passages else (request.input,)
        if not self._is_async:
            return await asyncio.to_thread(self._call_sync, arguments)
        started = time.perf_counter()
        try:
            return started, await self._function(*arguments)
        except ShoalError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _call_sync(self, arguments: tuple[object, ...]) -> tuple[float, object]:
        started = time.perf_counter()
        try:
            return started, self._function(*arguments)
        except ShoalError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> ModelError:
        place = _place_of(self._function, error)
        return ModelError(
            f"{self._name} raised {type(error).__name__}: {error}",
            why=f"raised at {place}",
            mend=f"correct the function at {place}",
        )

    def _as_text(self, value: object, *, as_json: bool) -> str:
        if not as_json and (value is None or isinstance(value, str)):
            return value or ""
        try:
            return to_json(value).decode()
        except PydanticSerializationError as error:
            raise ModelError(
                f"{self._name} returned {type(value).__name__}, which is neither text nor JSON",
                why=str(error),
                mend=f"return a str, a pydantic model or plain data at {_place_of(self._function)}",
            ) from error

    def _checked(self, probability: float | None) -> float | None:
        if probability is None or 0.0 <= probability <= 1.0:
            return probability
        raise ModelError(
            f"{self._name} gave the probability {probability!r}",
            why="a probability is in [0, 1]",
            mend=f"correct the Scored(...) at {_place_of(self._function)}",
        )


def _as_scored(result: object) -> Scored[object]:
    if isinstance(result, Scored):
        return cast("Scored[object]", result)
    return Scored(result, 1.0)


def _takes_passages(function: Callable[..., object], name: str) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} does not say what it takes", why=str(error), mend=f"write {SHAPES}"
        ) from error
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    takes_passages = len(positional) > 1 and positional[1].name == "passages"
    given = positional[: 2 if takes_passages else 1]
    variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    unmet = [p.name for p in parameters if p not in given and p.default is p.empty and p.kind not in variadic]
    if not given or unmet:
        why = f"nobody gives it {', '.join(unmet)}" if unmet else "it takes no text"
        raise ConfigError(f"{name} cannot be a model", why=why, mend=f"write {SHAPES}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigError(f"{name} cannot be a model", why="it yields", mend="return the whole result")
    return takes_passages


def _is_async(function: Callable[..., object]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  an object whose __call__ is async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _place_of(function: Callable[..., object], error: Exception | None = None) -> str:
    """`file:line` of the last line of the function's own file that was running, else of its definition."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return repr(function)
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f"{code.co_filename}:{lines[-1] if lines else code.co_firstlineno}"
