"""Escalation before the call: what the request alone says of the answer to come."""

from dataclasses import dataclass
from typing import Any

from shoal.agents import Agent, Runtime
from shoal.core.decision import Decision, Signals, Verdict
from shoal.core.errors import ModelError
from shoal.router.escalation import Difficulties, Policy

__all__ = ["Foresight"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Decides whether an agent need not be asked, because its answer could not be kept."""

    policy: Policy
    difficulties: Difficulties

    def look(self, agent: str, text: str, decision: Decision) -> Signals:
        """All that is known of an attempt before it is made."""
        return Signals(
            router_confidence=decision.confidence,
            router_margin=None if decision.confidence is None else decision.margin,
            difficulty=self.difficulties.read(agent, text),
        )

    async def verdict(self, agent: Agent[Any], signals: Signals, runtime: Runtime) -> Verdict | None:
        """To escalate at once; None = ask the agent.

        One that looks passages up is always asked: what it finds is not in the request. So is one whose
        engine does not say which weights it has: a certificate speaks of some weights only.

        Raises:
            ConfigError: the agent's model does not exist, or may not be used.
        """
        verdict = self.policy.foresee(agent.name, signals)
        if verdict is None or agent.knowledge is not None:
            return None
        assert not callable(agent.model), "AgentSpec turns functions into models"
        try:
            info = await (await runtime.model(agent.model, agent.specialist)).describe()
        except ModelError:
            return None  # the attempt will say what is wrong with it
        if info.digest is None:
            return None
        digest = info.digest
        if agent.specialist is not None and agent.specialist.adapter is not None:
            digest = f"{digest}+{agent.specialist.digest}"  # as its answers say it
        return verdict if self.policy.speaks_for(agent.name, digest) else None
