"""An agent's messages: constant text first and byte-identical, so that engines reuse their prefix cache."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from shoal.agents.spec import AgentSpec
from shoal.agents.tooling import tool_schema
from shoal.core.chat import ChatRequest, JsonSchema, Message
from shoal.core.passage import Passage
from shoal.core.verbatim import plain_verbatim

__all__ = ["build_messages", "build_repair", "build_request"]

ALTERNATIVES = 2
"""Logprob alternatives asked for where an answer chooses among labels: enough for the margin between two.

Elsewhere none: free text has a near tie somewhere whatever it says, and Ollama 0.24 sorts the whole
vocabulary for every token it lists alternatives to (55 ms a token with the 262,144 of Gemma 3, against
16 ms for the token itself).
"""

DRAWN_TEMPERATURE = 0.7
"""Of a specialist's second try: its first was the likeliest answer, which is not asked for twice."""


def build_request(agent: AgentSpec[Any], text: str, passages: tuple[Passage, ...]) -> ChatRequest:
    """What an agent's model is asked first."""
    schema = tool_schema(agent.tools, agent.schema) if agent.tools else agent.schema
    return ChatRequest(
        messages=build_messages(agent, text, passages, schema),
        max_tokens=agent.max_tokens,
        sampling=agent.sampling,
        schema=schema,
        top_logprobs=ALTERNATIVES if _has_choice(schema) else 0,
        input=text,
        passages=passages,
        adapter=agent.specialist.adapter_key if agent.specialist else None,
        reuse=agent.cache,
    )


def build_messages(
    agent: AgentSpec[Any], text: str, passages: Sequence[Passage], schema: JsonSchema | None
) -> tuple[Message, ...]:
    """System message, examples as turns, then passages and the text.

    A specialist is asked as it was trained: with its own system message and nothing else before the text.
    """
    asked = Message("user", _quote(passages) + text)
    if agent.specialist is not None:
        return (Message("system", agent.specialist.system), asked)
    system = "\n\n".join(
        part.strip() for part in (agent.job, agent.instructions, _shape(schema)) if part.strip()
    )
    turns = [Message("system", system)]
    for example, expected in agent.examples:
        turns += [Message("user", example), Message("assistant", _dump(agent, expected))]
    return (*turns, asked)


def build_repair(agent: AgentSpec[Any], request: ChatRequest, answer: str, problem: str) -> ChatRequest:
    """What is asked after an answer that is not usable.

    A model that converses is shown its answer and what is wrong with it. A specialist has only ever seen one
    turn, and reads a second as the next text to work on: it is asked the same, and drawn from.
    """
    if agent.specialist is not None:
        sampling = request.sampling
        drawn = replace(
            sampling, temperature=max(sampling.temperature, DRAWN_TEMPERATURE), seed=sampling.seed + 1
        )
        return replace(request, sampling=drawn)
    turns = (
        Message("assistant", answer),
        Message("user", f"That answer is not usable: {problem}\nGive the whole answer again, corrected."),
    )
    return replace(request, messages=request.messages + turns)


def _shape(schema: JsonSchema | None) -> str:
    if schema is None:
        return ""
    compact = json.dumps(plain_verbatim(schema), ensure_ascii=False, separators=(",", ":"))
    return f"Answer with JSON that fits this schema, and nothing else:\n{compact}"


def _has_choice(schema: Any) -> bool:
    """Whether some value of the answer is one of several labels."""
    match schema:
        case Mapping():
            keywords = cast("Mapping[str, Any]", schema)
            chooses = "enum" in keywords or keywords.get("type") == "boolean"
            return chooses or any(map(_has_choice, keywords.values()))
        case list():
            return any(map(_has_choice, cast("list[Any]", schema)))
        case _:
            return False


def _dump(agent: AgentSpec[Any], expected: Any) -> str:
    if agent.output is str:
        return str(expected)
    return agent.adapter.dump_json(agent.adapter.validate_python(expected)).decode()


def _quote(passages: Sequence[Passage]) -> str:
    if not passages:
        return ""
    quoted = "\n\n".join(f"[{number}] {passage.text}" for number, passage in enumerate(passages, start=1))
    return f"Passages:\n{quoted}\n\n"
