"""Signals that cost calls of the model: asked for by name, and only of answers without a fault.

They look at the answer from outside: would the model say the same again, and does it believe what it said?
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from shoal.agents.spec import AgentSpec
from shoal.agents.validation import parse_output
from shoal.core.chat import ChatRequest, ChatResponse, Message
from shoal.core.errors import OutputInvalid

__all__ = ["Probe", "ask_agreement", "ask_self_check"]

TEMPERATURE = 0.7
YES, NO = "yes", "no"
CHOICES = 20
"""Alternatives looked at for the two words."""
QUESTION = "Is that answer right? Say yes or no, and nothing else."
Ask = Callable[[ChatRequest, str], Awaitable[ChatResponse]]
"""(request, purpose for the ledger) -> response"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Which of them are made."""

    samples: int = 0
    """Further answers that are compared with the first; 0 = none."""
    self_check: bool = False


async def ask_agreement(
    agent: AgentSpec[Any], request: ChatRequest, output: Any, samples: int, ask: Ask
) -> float:
    """Share of further samples with the same answer, in [0, 1]; texts may differ in case and spacing.

    Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning in Language Models".
    """
    wanted, same = _plain(agent, output), 0
    for number in range(1, samples + 1):
        sampling = replace(request.sampling, temperature=TEMPERATURE, seed=request.sampling.seed + number)
        response = await ask(replace(request, sampling=sampling), "sample")
        try:
            same += _plain(agent, parse_output(agent, response.text, request.input)) == wanted
        except OutputInvalid:
            continue
    return same / samples


async def ask_self_check(request: ChatRequest, text: str, ask: Ask) -> float | None:
    """P(true) by one token, in [0, 1]; None where the engine gives no probabilities.

    Kadavath et al. 2022, "Language Models (Mostly) Know What They Know".
    """
    turns = (Message("assistant", text), Message("user", QUESTION))
    question = replace(
        request, messages=request.messages + turns, max_tokens=1, schema=None, top_logprobs=CHOICES
    )
    response = await ask(question, "self_check")
    if not response.tokens:
        return None
    mass = {YES: 0.0, NO: 0.0}
    for word, logprob in response.tokens[0].top:
        key = word.strip().casefold()
        if key in mass:
            mass[key] += math.exp(logprob)
    total = sum(mass.values())
    return mass[YES] / total if total > 0 else None


def _plain(agent: AgentSpec[Any], output: Any) -> object:
    if agent.output is str:
        return " ".join(str(output).split()).casefold()
    return agent.adapter.dump_python(output, mode="json")
