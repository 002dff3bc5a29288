"""How an agent with a specialist is asked, and what its answers then depend on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from shoal.agents import Agent, prompt_digest
from shoal.agents.prompt import build_repair, build_request
from shoal.core.chat import Message
from shoal.core.passage import Passage
from shoal.specialists import Specialist
from shoal.testing.scripted import ScriptedModel, Turn

KEY = "order-reader@3"


class Order(BaseModel):
    order_id: str


@pytest.fixture
def specialist(tmp_path: Path) -> Specialist:
    return Specialist(
        key=KEY,
        base="embedded:smollm2:135m",
        base_digest="sha256:base",
        adapter=tmp_path / "adapter.gguf",
        digest="sha256:adapter",
        system="Read the order. ",
    )


@pytest.fixture
def plain() -> Agent[Order]:
    return Agent(
        "order-reader",
        job="Read an order.",
        model="small",
        output=Order,
        instructions="Be careful.",
        examples=[("Order A7.", {"order_id": "A7"})],
    )


def test_a_specialist_is_asked_as_it_was_trained_and_its_answer_keeps_its_shape(
    plain: Agent[Order], specialist: Specialist
) -> None:
    request = build_request(replace(plain, specialist=specialist), "Order B2, please.", ())
    assert request.messages == (Message("system", "Read the order. "), Message("user", "Order B2, please."))
    assert request.adapter == KEY
    assert request.schema == plain.schema


def test_passages_stand_before_the_text_as_for_any_agent(plain: Agent[Order], specialist: Specialist) -> None:
    passages = (Passage(text="Orders have a letter.", source="a.md", start=0, end=21),)
    asked = build_request(replace(plain, specialist=specialist), "Order B2.", passages).messages[-1]
    assert asked == build_request(plain, "Order B2.", passages).messages[-1]
    assert "[1] Orders have a letter." in asked.content


def test_a_merged_specialist_is_a_model_of_its_own(plain: Agent[Order], specialist: Specialist) -> None:
    merged = replace(specialist, adapter=None, base="ollama:shoal-order-reader:3")
    request = build_request(replace(plain, specialist=merged), "Order B2.", ())
    assert request.adapter is None
    assert request.messages[0].content == "Read the order. "


def test_a_certificate_is_void_for_another_specialist_and_for_none(
    plain: Agent[Order], specialist: Specialist
) -> None:
    agents = [
        plain,
        *(replace(plain, specialist=one) for one in (specialist, replace(specialist, digest="x"))),
    ]
    assert len({prompt_digest(agent) for agent in agents}) == 3
    moved = replace(specialist, key="order-reader@4", adapter=Path("elsewhere.gguf"))
    assert prompt_digest(replace(plain, specialist=moved)) == prompt_digest(agents[1])


async def test_the_large_model_is_asked_with_the_agents_whole_prompt(
    plain: Agent[Order], specialist: Specialist
) -> None:
    large = ScriptedModel(lambda _: Turn(text=json.dumps({"order_id": "B2"})))
    request = build_request(replace(plain, specialist=specialist).asking(large), "Order B2.", ())
    assert request == build_request(plain, "Order B2.", ())
    assert request.adapter is None


def test_a_second_try_is_the_same_question_drawn_from(plain: Agent[Order], specialist: Specialist) -> None:
    agent = replace(plain, specialist=specialist)
    first = build_request(agent, "Order B2.", ())
    second = build_repair(agent, first, "{}", "it is empty")
    third = build_repair(agent, second, "{}", "it is empty")
    assert first.messages == second.messages == third.messages
    assert first.sampling.temperature == 0 < second.sampling.temperature == third.sampling.temperature
    assert len({request.sampling.seed for request in (first, second, third)}) == 3

    conversed = build_repair(plain, build_request(plain, "Order B2.", ()), "{}", "it is empty")
    assert conversed.messages[-2] == Message("assistant", "{}")
    assert "it is empty" in conversed.messages[-1].content
    assert conversed.sampling.temperature == 0
