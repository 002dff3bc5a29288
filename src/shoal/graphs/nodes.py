"""The nodes of a team's graph: route, one node an agent, the large model, judge, merge.

A node reads and writes JSON state, and leaves one step in the ledger. What it raises stops the run; what a
model does wrong ends up in the outcome instead, where the next node sees it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from langgraph.types import Command, Send

from shoal.agents import Agent, Attempt, Judge, Repairing, Runtime, Task, attempt_events, check_text
from shoal.core.chat import ChatDelta
from shoal.core.decision import Decision, Signals, Subtask, Verdict
from shoal.core.errors import RunError
from shoal.core.passage import Passage
from shoal.core.port import ChatModel, RoutePort
from shoal.graphs.dispatch import next_moves, unanswerable
from shoal.graphs.result import PARTS, compose_part
from shoal.graphs.state import Outcome, Planned, TeamState, Work
from shoal.graphs.stream import current_stream
from shoal.tracing.record import StepRow, new_id
from shoal.tracing.scope import scope
from shoal.tracing.spans import AgentSpan, RoutingSpan

__all__ = ["MAX_CHAIN", "TeamNodes", "TeamParts"]

MAX_CHAIN = 200
"""Subtasks that may depend on one another in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamParts:
    """What a team's graph is made of."""

    agents: Mapping[str, Agent[Any]]
    router: RoutePort
    judge: Judge
    runtime: Runtime
    large: str | ChatModel | None
    """The model that is asked when a local answer is not good enough; None = flag it instead."""
    large_judge: Judge
    """Judges its answers."""


class TeamNodes:
    """The nodes, bound to the parts they use."""

    def __init__(self, parts: TeamParts) -> None:
        self._parts = parts

    async def route(self, state: TeamState) -> dict[str, Any]:
        """Split the request and decide where every part goes. No model is called."""
        started = time.perf_counter()
        check_text(state["request"])
        router, ledger = self._parts.router, self._parts.runtime.ledger
        subtasks = router.split(state["request"])
        _check_order(subtasks)
        planned = [Planned(subtask=subtask, decision=self._decide(subtask)) for subtask in subtasks]
        latency_s = time.perf_counter() - started
        for item in planned:
            current_stream.get().routed(item)
        outcomes: dict[str, Any] = {}
        for item in unanswerable(planned):
            outcome = _unrouted(item)
            outcomes[item.subtask.id] = outcome.model_dump(mode="json")
            step = _begin(state["run_id"], "route", item, agent=None, escalated=False)
            await ledger.begin_step(step)
            await ledger.end_step(_end(step, outcome, latency_s / len(planned)))
        return {"planned": [item.model_dump(mode="json") for item in planned], "outcomes": outcomes}

    def dispatch(self, state: TeamState) -> list[Send] | Literal["merge"]:
        """Send every subtask that can run to its node; to merge when none is left."""
        planned = [Planned.model_validate(item) for item in state["planned"]]
        outcomes = {key: Outcome.model_validate(value) for key, value in state.get("outcomes", {}).items()}
        moves = next_moves(planned, outcomes)
        return [
            Send(
                move.node,
                Work(
                    run_id=state["run_id"],
                    planned=move.planned.model_dump(mode="json"),
                    context=[asdict(passage) for passage in move.context],
                ),
            )
            for move in moves
        ] or "merge"

    async def judge(self, state: TeamState) -> Command:
        """Wait for the whole wave, then send what follows: next subtasks, escalations, or the end."""
        return Command(goto=self.dispatch(state))

    async def agent(self, work: Work) -> dict[str, Any]:
        """Let the chosen agent make its attempt."""
        planned = Planned.model_validate(work["planned"])
        assert planned.decision.agent is not None, "dispatch sends only routed subtasks here"
        agent = self._parts.agents[planned.decision.agent]
        return await self._attempt(work, planned, agent, node=agent.name)

    async def large(self, work: Work) -> dict[str, Any]:
        """Ask the large model for the same job: the agent's prompt, schema and checks, another model."""
        planned = Planned.model_validate(work["planned"])
        assert planned.decision.agent is not None
        assert self._parts.large is not None, "the judge escalates only where there is a large model"
        agent = replace(self._parts.agents[planned.decision.agent], model=self._parts.large)
        return await self._attempt(work, planned, agent, node="large")

    async def merge(self, state: TeamState) -> dict[str, Any]:
        """Put the answers together in the order of the request, saying what was not answered and why."""
        planned = [Planned.model_validate(item) for item in state["planned"]]
        outcomes = {key: Outcome.model_validate(value) for key, value in state["outcomes"].items()}
        parts = [_show(item, outcomes[item.subtask.id], alone=len(planned) == 1) for item in planned]
        return {"answer": PARTS.join(parts)}

    def _decide(self, subtask: Subtask) -> Decision:
        with self._parts.runtime.spans.open(RoutingSpan()) as span:
            decision = self._parts.router.decide(subtask.text)
            span.decided(decision)
        return decision

    async def _attempt(self, work: Work, planned: Planned, agent: Agent[Any], *, node: str) -> dict[str, Any]:
        escalated = node == "large"
        stream = current_stream.get()
        if escalated:
            stream.escalated(planned.subtask.id, agent=agent.name, to_model=_name_of(agent))
        step = _begin(work["run_id"], node, planned, agent=agent.name, escalated=escalated)
        ledger = self._parts.runtime.ledger
        await ledger.begin_step(step)
        try:
            with (
                scope(run_id=work["run_id"], step_id=step.id, agent=agent.name),
                self._parts.runtime.spans.open(AgentSpan(name=agent.name, step_id=step.id, job=agent.job)),
            ):
                attempt = await self._run(work, planned, agent, escalated=escalated)
        except Exception as error:
            await ledger.end_step(_broken_off(step, error))
            raise
        outcome = _outcome(planned, attempt, agent, escalated=escalated)
        await ledger.end_step(_end(step, outcome, attempt.latency_s))
        stream.settled(outcome)
        return {"outcomes": {planned.subtask.id: outcome.model_dump(mode="json")}}

    async def _run(self, work: Work, planned: Planned, agent: Agent[Any], *, escalated: bool) -> Attempt[Any]:
        task = Task(
            agent=agent,
            text=planned.subtask.text,
            runtime=self._parts.runtime,
            judge=self._parts.large_judge if escalated else self._parts.judge,
            decision=planned.decision,
            context=tuple(Passage(**passage) for passage in work["context"]),
            large=self._parts.large is not None and not escalated,
            purpose="escalation" if escalated else "answer",
            place=f"{'large' if escalated else agent.name}/{planned.subtask.id}",
        )
        stream, subtask_id = current_stream.get(), planned.subtask.id
        async for event in attempt_events(task):
            match event:
                case Attempt():
                    return event
                case Repairing(verdict=verdict):
                    stream.repairing(subtask_id, verdict, agent=agent.name, escalated=escalated)
                case ChatDelta(text=text):
                    stream.said(subtask_id, text)
        raise RunError(f"{agent.name} ended without an attempt")


def _begin(run_id: str, node: str, planned: Planned, *, agent: str | None, escalated: bool) -> StepRow:
    return StepRow(
        id=new_id(),
        run_id=run_id,
        node=node,
        started_at=time.time(),
        subtask_id=planned.subtask.id,
        agent=agent,
        input=planned.subtask.text,
        decision=planned.decision,
        escalated=escalated,
    )


def _end(step: StepRow, outcome: Outcome, latency_s: float) -> StepRow:
    verdict = outcome.verdict
    return replace(
        step,
        signals=outcome.signals,
        action=verdict.action,
        reason=verdict.reason,
        confidence=verdict.confidence,
        calibrated=verdict.calibrated,
        threshold=verdict.threshold,
        certificate=verdict.certificate,
        ended_at=step.started_at + latency_s,
        latency_s=latency_s,
        output=outcome.text,
    )


def _broken_off(step: StepRow, error: Exception) -> StepRow:
    ended_at = time.time()
    return replace(
        step,
        ended_at=ended_at,
        latency_s=ended_at - step.started_at,
        error_class=type(error).__name__,
        error=str(error),
    )


def _check_order(subtasks: tuple[Subtask, ...]) -> None:
    place: dict[str, int] = {}
    """How many subtasks stand one after the other up to this one."""
    for subtask in subtasks:
        if not place.keys() >= set(subtask.depends_on) or subtask.id in place:
            raise RunError(
                f"subtask {subtask.id} cannot be ordered",
                why="ids are unique and a subtask depends on earlier ones only",
                mend="correct the router's split()",
            )
        place[subtask.id] = 1 + max((place[needed] for needed in subtask.depends_on), default=0)
        if place[subtask.id] > MAX_CHAIN:
            raise RunError(
                f"more than {MAX_CHAIN} subtasks wait for one another",
                why="each would be handed the answer before it",
                mend="send the request in parts",
            )


def _unrouted(item: Planned) -> Outcome:
    decision: Decision = item.decision
    return Outcome(
        subtask_id=item.subtask.id,
        agent=None,
        model=None,
        text="",
        status="flagged",
        escalated=False,
        verdict=Verdict(
            action="abstain",
            reason=decision.reason or "no agent's job fits",
            confidence=decision.confidence,
            calibrated=decision.calibrated,
            threshold=decision.threshold,
        ),
        signals=Signals(router_confidence=decision.confidence, router_margin=decision.margin),
    )


def _outcome(planned: Planned, attempt: Attempt[Any], agent: Agent[Any], *, escalated: bool) -> Outcome:
    usable = attempt.accepted and attempt.output is not None
    status: Literal["accepted", "pending", "flagged"] = "flagged"
    if usable:
        status = "accepted"
    elif attempt.verdict.action == "escalate":
        status = "pending"
    return Outcome(
        subtask_id=planned.subtask.id,
        agent=attempt.agent,
        model=attempt.model,
        text=attempt.text,
        output=agent.adapter.dump_python(attempt.output, mode="json") if usable else None,
        status=status,
        escalated=escalated,
        verdict=attempt.verdict,
        mend=attempt.failure.mend if attempt.failure else "",
        signals=attempt.signals,
        passages=attempt.passages,
    )


def _show(item: Planned, outcome: Outcome, *, alone: bool) -> str:
    why = outcome.verdict.reason
    return compose_part(outcome.text, outcome.status, subtask=item.subtask.text, why=why, alone=alone)


def _name_of(agent: Agent[Any]) -> str:
    return agent.model if isinstance(agent.model, str) else getattr(agent.model, "name", "")
