"""What is known of an agent before its first example: its job sentence, or what its name says."""

import re
from collections.abc import Mapping, Sequence

from shoal.router.example import Example

__all__ = ["describe_agents"]

WORD_BREAK = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")
LETTERS = 3
"""Fewer are no word."""


def describe_agents(agents: Sequence[str], jobs: Mapping[str, str] | None) -> list[Example]:
    """One text for each agent, to be learnt from like an example.

    Names are read where there are no jobs: labels of public sets mostly say what they are about. Those that
    only number the agents ("class_1", "class_2") say nothing, and then none is used.
    """
    if jobs:
        return [Example(jobs[agent], agent) for agent in agents]
    said = [WORD_BREAK.sub(" ", agent).strip().lower() for agent in agents]
    if len(set(said)) < len(said) or any(len(words) < LETTERS for words in said):
        return []
    return [Example(words, agent) for words, agent in zip(said, agents, strict=True)]
