from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from shoal.agents import Agent
from shoal.core.errors import ConfigError, OutputInvalid
from shoal.runtime import LocalRuntime
from shoal.testing.scripted import ScriptedModel


class Order(BaseModel):
    order_id: str


class DictState(TypedDict, total=False):
    mail: str
    order: Order


@dataclass
class DataState:
    mail: str = ""
    order: Order | None = None


class ModelState(BaseModel):
    mail: str = ""
    order: Order | None = None


def graph_of(state: Any, text: str, runtime: LocalRuntime, *, field: str = "mail") -> Any:
    agent = Agent("order-reader", job="Read.", model=ScriptedModel(lambda _: text), output=Order)
    graph = StateGraph(state)
    graph.add_node("read", agent.as_node(input=field, output="order", runtime=runtime))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph.compile()


@pytest.mark.parametrize("state", [DictState, DataState, ModelState])
async def test_a_node_reads_and_sets_fields_of_any_kind_of_state(state: Any, runtime: LocalRuntime) -> None:
    graph = graph_of(state, '{"order_id": "A7"}', runtime)
    after = await graph.ainvoke({"mail": "order A7"})
    assert after["order"] == Order(order_id="A7")
    assert after["mail"] == "order A7"


@pytest.mark.parametrize("state", [DictState, DataState, ModelState])
async def test_a_field_that_is_not_there_is_named(state: Any, runtime: LocalRuntime) -> None:
    with pytest.raises(ConfigError, match='no text in "letter"'):
        await graph_of(state, "{}", runtime, field="letter").ainvoke({"mail": "order A7"})


async def test_a_field_that_was_not_set_is_not_asked_about_as_none(runtime: LocalRuntime) -> None:
    with pytest.raises(ConfigError, match="NoneType"):
        await graph_of(DataState, "{}", runtime, field="order").ainvoke({"mail": "order A7"})


async def test_the_graph_sees_an_answer_that_was_not_accepted_as_an_error(runtime: LocalRuntime) -> None:
    with pytest.raises(OutputInvalid):
        await graph_of(DictState, "not json", runtime).ainvoke({"mail": "order A7"})
