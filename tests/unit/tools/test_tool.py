"""`Tool`: what a function has to say about itself, and what happens when a model calls it."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from shoal.core.errors import ConfigError, OutputInvalid, StorageError, ToolFailed
from shoal.tools import Tool


class Order(BaseModel):
    id: str
    total: float


@dataclass
class Place:
    city: str


def price(item: str, count: Annotated[int, Field(ge=1)] = 1) -> float:
    """Price of some items in pounds."""
    return {"card": 5.0}[item] * count


async def find_order(order_id: str) -> Order:
    """Look an order up."""
    await asyncio.sleep(0)
    return Order(id=order_id, total=12.5)


def where(place: Place, unit: Literal["km", "mi"] = "km") -> str:
    """Say how far a place is."""
    assert isinstance(place, Place)
    return f"{place.city} in {unit}"


class Desk:
    def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"hello {name}"


def test_a_function_describes_itself() -> None:
    tool = Tool.of(price)

    assert (tool.name, tool.description, tool.effect) == ("price", "Price of some items in pounds.", "read")
    assert tool.schema["properties"]["count"] == {
        "default": 1,
        "minimum": 1,
        "title": "Count",
        "type": "integer",
    }
    assert tool.schema["required"] == ["item"]
    assert tool.schema["additionalProperties"] is False


async def test_calls_sync_and_async_functions_and_methods() -> None:
    assert await Tool.of(price).call({"item": "card", "count": "3"}) == "15.0"
    assert await Tool.of(find_order).call({"order_id": "A-7"}) == '{"id":"A-7","total":12.5}'
    assert await Tool.of(Desk().greet).call({"name": "Ada"}) == "hello Ada"


async def test_arguments_become_the_annotated_types() -> None:
    assert await Tool.of(where).call({"place": {"city": "Leeds"}}) == "Leeds in km"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "item"),
        ({"item": "card", "count": 0}, "count"),
        ({"item": "card", "colour": "red"}, "colour"),
        ({"item": 5}, "item"),
    ],
)
async def test_arguments_that_do_not_fit_name_the_fault(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(OutputInvalid, match="arguments for price") as caught:
        await Tool.of(price).call(arguments)
    assert caught.value.why.startswith(fault)


async def test_what_the_function_raises_is_not_taken_for_wrong_arguments() -> None:
    def parse(text: str) -> int:
        """Read a number."""
        return TypeAdapter(int).validate_python(text)

    with pytest.raises(ToolFailed, match="the tool parse failed") as caught:
        await Tool.of(parse).call({"text": "many"})
    assert "ValidationError" in caught.value.why


async def test_errors_that_no_model_can_mend_come_out_unchanged() -> None:
    def save(text: str) -> str:
        """Save."""
        raise StorageError(f"disk full, {text} not saved")

    with pytest.raises(StorageError, match="disk full"):
        await Tool.of(save).call({"text": "it"})


async def test_a_result_that_is_no_data_is_a_failure_of_the_tool() -> None:
    def opened() -> object:
        """Open something."""
        return threading.Lock()

    with pytest.raises(ToolFailed, match="the tool opened failed"):
        await Tool.of(opened).call({})


async def test_a_sync_function_does_not_run_on_the_event_loop() -> None:
    def thread() -> str:
        """Name the thread."""
        return threading.current_thread().name

    assert await Tool.of(thread).call({}) != threading.current_thread().name


NO_TOOLS = {
    "no docstring": "def f(item: str) -> str: return item",
    "no type": "def f(item): 'Do it.'",
    "any number of arguments": "def f(*items: str): 'Do it.'",
    "positional only": "def f(item: str, /): 'Do it.'",
    "no validation": "import threading\ndef f(lock: threading.Thread): 'Do it.'",
    "no schema": "from collections.abc import Callable\ndef f(call: Callable[[int], int]): 'Do it.'",
    "unknown type": "def f(order: 'Ordre'): 'Do it.'",
    "no name": "f = lambda: 1",
}


@pytest.mark.parametrize("source", NO_TOOLS.values(), ids=NO_TOOLS.keys())
def test_what_a_model_could_only_guess_is_no_tool(source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(source, namespace)

    with pytest.raises(ConfigError, match="cannot be a tool"):
        Tool.of(namespace["f"])
