"""A router that does what a test tells it to: parts by a separator, agents by the first word."""

from collections.abc import Mapping, Sequence
from typing import final

from shoal.core.decision import Decision, Subtask

__all__ = ["FixedRouter"]


@final
class FixedRouter:
    """Splits at ";", and sends a part to the agent that its first word names; to nobody where none is.

    `depends_on`: per subtask id, the ids it waits for.
    """

    def __init__(
        self,
        agents: Sequence[str],
        *,
        depends_on: Mapping[str, tuple[str, ...]] | None = None,
        confidence: float = 0.9,
    ) -> None:
        self.agents = tuple(agents)
        self.digest: str | None = None
        self._depends_on = depends_on or {}
        self._confidence = confidence

    def decide(self, text: str) -> Decision:
        first = text.split(maxsplit=1)[0]
        agent = first if first in self.agents else None
        return Decision(
            agent=agent,
            confidence=self._confidence if agent else 0.0,
            calibrated=False,
            best=agent,
            margin=1.0,
            threshold=0.5,
            scores={name: float(name == agent) for name in self.agents},
            reason="" if agent else f'nobody is called "{first}"',
        )

    def split(self, text: str) -> tuple[Subtask, ...]:
        subtasks: list[Subtask] = []
        start = 0
        for number, part in enumerate(text.split(";"), start=1):
            begin = start + len(part) - len(part.lstrip())
            body = part.strip()
            key = str(number)
            depends_on = self._depends_on.get(key, ())
            subtasks.append(
                Subtask(id=key, text=body, start=begin, end=begin + len(body), depends_on=depends_on)
            )
            start += len(part) + 1
        return tuple(subtasks)
