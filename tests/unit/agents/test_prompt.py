"""What a model is asked for besides words."""

from typing import Literal

import pytest
from pydantic import BaseModel

from shoal import Agent
from shoal.agents.prompt import build_request


class Order(BaseModel):
    number: str
    weight_kg: float | None


class Mail(BaseModel):
    topics: list[Literal["return", "billing"]]
    order: Order


@pytest.mark.parametrize(
    ("output", "alternatives"),
    [(str, 0), (Order, 0), (list[str], 0), (Mail, 2), (Literal["yes", "no"], 2), (bool, 2)],
)
def test_alternatives_are_asked_for_where_an_answer_chooses_among_labels(
    output: type[object], alternatives: int
) -> None:
    agent = Agent("reader", job="Read a mail.", model="embedded:smollm2:135m", output=output)

    assert build_request(agent, "Where is it?", ()).top_logprobs == alternatives
