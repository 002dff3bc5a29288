"""A router that has nothing to decide: every request goes, whole, to one agent."""

from dataclasses import dataclass

from shoal.core.decision import Decision, Subtask

__all__ = ["SoleRouter"]


@dataclass(frozen=True, slots=True)
class SoleRouter:
    """For "ask this agent". Its confidence is unknown: nobody looked whether the agent fits."""

    agent: str

    @property
    def agents(self) -> tuple[str, ...]:
        return (self.agent,)

    @property
    def digest(self) -> str:
        return f"sole {self.agent}"

    def decide(self, text: str) -> Decision:
        del text
        return Decision(
            agent=self.agent,
            confidence=None,
            calibrated=False,
            best=self.agent,
            margin=0.0,
            threshold=0.0,
            scores={self.agent: 1.0},
            reason=f"{self.agent} was asked for by name.",
        )

    def split(self, text: str) -> tuple[Subtask, ...]:
        return (Subtask(id="1", text=text, start=0, end=len(text)),)
