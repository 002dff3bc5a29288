from typing import Any, Literal

import pytest
from pydantic import BaseModel

from shoal.agents import Agent
from shoal.core.errors import ConfigError, UnknownName
from shoal.testing.scripted import ScriptedModel


class Order(BaseModel):
    order_id: str
    total: float


@pytest.mark.parametrize("name", ["", "Order", "1st", "order reader", "ordér", "a" * 65])
def test_a_name_that_no_graph_or_span_could_carry_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name an agent"):
        Agent(name, job="Read orders.", model="ollama:gemma3:1b")


@pytest.mark.parametrize("name", ["route", "judge", "large", "merge"])
def test_names_of_the_graphs_own_nodes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="node of that name"):
        Agent(name, job="Read orders.", model="ollama:gemma3:1b")


def test_an_agent_without_a_job_is_refused_with_the_line_that_mends_it() -> None:
    with pytest.raises(ConfigError) as caught:
        Agent("orders", job="  ", model="ollama:gemma3:1b")
    assert 'Agent("orders", job=' in caught.value.mend


@pytest.mark.parametrize("max_tokens", [0, -1, 200_000])
def test_max_tokens_has_bounds(max_tokens: int) -> None:
    with pytest.raises(ConfigError, match="max_tokens"):
        Agent("orders", job="Read orders.", model="small", max_tokens=max_tokens)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_timeout_is_more_than_nothing(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout_s"):
        Agent("orders", job="Read orders.", model="small", timeout_s=timeout_s)


def test_an_engine_nobody_has_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        Agent("orders", job="Read orders.", model="olama:gemma3:1b")
    assert caught.value.suggestion == "ollama"


def test_an_example_that_contradicts_the_output_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit its output type"):
        Agent("orders", job="Read.", model="small", output=Order, examples=(("order 7", {"order_id": "7"}),))


def test_a_type_pydantic_cannot_validate_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be an output type"):
        _ = Agent("orders", job="Read.", model="small", output=type(lambda: None)).schema


def test_lists_become_tuples_so_that_an_agent_stays_as_it_was_checked() -> None:
    examples = [("order 7", Order(order_id="7", total=1))]
    agent = Agent("orders", job="Read.", model="small", output=Order, examples=tuple(examples))
    examples.clear()
    assert len(agent.examples) == 1


def test_text_has_no_schema_and_labels_have_one() -> None:
    assert Agent("a", job="Say.", model="small").schema is None
    label = Agent("b", job="Label.", model="small", output=Literal["yes", "no"]).schema  # pyright: ignore[reportArgumentType]
    assert label == {"enum": ["yes", "no"], "type": "string"}


def test_a_function_becomes_a_model() -> None:
    def read(text: str) -> str:
        return text

    model = Agent("echo", job="Repeat.", model=read).model
    assert getattr(model, "name", None) == "python:read"


def test_a_chat_model_stays_what_it_is() -> None:
    model = ScriptedModel("hello")
    assert Agent("echo", job="Repeat.", model=model).model is model


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tools": [print]}, "is not a tool"),
        ({"checks": ["short"]}, "is not a function"),
        ({"examples": ["text"]}, "is not an example"),
        ({"examples": [("text",)]}, "is not an example"),
    ],
)
def test_parts_that_could_not_work_are_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Agent("orders", job="Read.", model="small", **fields)
    assert caught.value.mend
