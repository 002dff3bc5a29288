"""Content hashes of what an agent's answers depend on besides its model: a changed one voids a certificate.

Not in them: the documents of its knowledge folder, which change every day, and what a tool's code does.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from shoal.agents.spec import AgentSpec

__all__ = ["prompt_digest", "schema_digest"]


def prompt_digest(agent: AgentSpec[Any]) -> str:
    """Of everything that goes into the prompt, how it is sampled, and which checks judge the answer."""
    examples = [(text, agent.adapter.dump_python(expected, mode="json")) for text, expected in agent.examples]
    return _digest(
        agent.job,
        agent.instructions,
        examples,
        [(tool.name, tool.description, tool.schema) for tool in agent.tools],
        agent.knowledge,
        [getattr(check, "__name__", "") for check in agent.checks],
        agent.max_tokens,
        asdict(agent.sampling),
    )


def schema_digest(agent: AgentSpec[Any]) -> str:
    """Of the shape of its answer."""
    return _digest(agent.schema)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
