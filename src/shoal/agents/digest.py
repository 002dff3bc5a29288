"""Content hashes of what an agent's answers depend on besides its model: a changed one voids a certificate.

Code counts by the source of the function itself, without what that calls; a function without source, such
as a built-in one, by its name.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from shoal.agents.spec import AgentSpec
from shoal.core.source import source_digest

__all__ = ["prompt_digest", "schema_digest", "tools_digest"]


def prompt_digest(agent: AgentSpec[Any]) -> str:
    """Of everything that goes into the prompt, how it is sampled, which checks judge the answer, and
    what was trained for the agent.
    """
    adapter = agent.adapter
    examples = [
        (text, adapter.dump_python(adapter.validate_python(expected), mode="json"))
        for text, expected in agent.examples
    ]
    return _digest(
        agent.job,
        agent.instructions,
        examples,
        agent.knowledge,
        [(getattr(check, "__name__", ""), source_digest(check)) for check in agent.checks],
        agent.max_tokens,
        asdict(agent.sampling),
        *([(agent.specialist.system, agent.specialist.digest)] if agent.specialist else []),
    )


def schema_digest(agent: AgentSpec[Any]) -> str:
    """Of the shape of its answer."""
    return _digest(agent.schema)


def tools_digest(agent: AgentSpec[Any]) -> str | None:
    """Of its tools: what the model reads of them, and what they do; None = it has none."""
    if not agent.tools:
        return None
    return _digest(
        [
            (tool.name, tool.description, tool.schema, tool.effect, source_digest(tool.function))
            for tool in agent.tools
        ]
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
