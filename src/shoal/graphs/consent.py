"""Asking a person before a text goes to a model on another machine: what is shown, and what becomes of it."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from shoal.agents import Agent, build_request
from shoal.core.chat import Message
from shoal.graphs.large import Large
from shoal.graphs.state import Outcome, Planned
from shoal.tracing.record import StepRow, new_id

__all__ = ["ConsentRequest", "ask_consent", "decided_step", "parse_requests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRequest:
    """Who would receive which text, and why."""

    subtask_id: str
    subtask: str
    agent: str
    model: str
    """`engine:model`, on another machine."""
    reason: str
    """Why the local answer is not enough."""
    messages: tuple[Message, ...]
    """Every word that would be sent at first. Where the answer must be mended or tools are used, what that
    model itself said and what the tools gave is sent after it."""
    expected_usd: float | None
    """Price of as many tokens as the local model read and wrote; None = unknown."""


def ask_consent(planned: Planned, outcome: Outcome, agent: Agent[Any], large: Large) -> dict[str, Any]:
    """A `ConsentRequest` as JSON values."""
    asked = large.agent(agent, outcome.passages)
    request = ConsentRequest(
        subtask_id=planned.subtask.id,
        subtask=planned.subtask.text,
        agent=agent.name,
        model=large.name,
        reason=outcome.verdict.reason,
        messages=build_request(asked, planned.subtask.text, outcome.passages).messages,
        expected_usd=outcome.alternatives.get("escalate"),
    )
    return asdict(request)


def parse_requests(values: Any) -> tuple[ConsentRequest, ...]:
    return _REQUESTS.validate_python(values)


def decided_step(run_id: str, asked: Mapping[str, Any], *, allowed: bool) -> StepRow:
    """The ledger's row of a person's decision: no work of an agent, and no time of the run's."""
    now = time.time()
    word = "allowed" if allowed else "forbade"
    return StepRow(
        id=new_id(),
        run_id=run_id,
        node="consent",
        started_at=now,
        ended_at=now,
        latency_s=0.0,
        subtask_id=asked["subtask_id"],
        input="\n\n".join(message["content"] for message in asked["messages"]),
        action="escalate" if allowed else "abstain",
        reason=f"A person {word} sending this to {asked['model']}.",
        alternatives={"abstain": 0.0, "escalate": asked["expected_usd"]},
    )


_REQUESTS: TypeAdapter[tuple[ConsentRequest, ...]] = TypeAdapter(tuple[ConsentRequest, ...])
