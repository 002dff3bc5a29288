"""The nodes of a team's graph: route, one node an agent, judge, consent, the large model, merge.

A node reads and writes JSON state, and leaves one step in the ledger. What it raises stops the run; what a
model does wrong ends up in the outcome instead, where the next node sees it.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from langgraph.types import Command, Send, interrupt

from shoal.agents import Agent, Attempt, Judge, Probe, Repairing, Runtime, Task, attempt_events, check_text
from shoal.core.chat import ChatDelta
from shoal.core.decision import Decision, Judged, Signals, Subtask, Verdict
from shoal.core.errors import RunError
from shoal.core.passage import Passage
from shoal.core.port import RoutePort
from shoal.core.usage import Usage
from shoal.graphs.consent import ask_consent, decided_step
from shoal.graphs.dispatch import Move, next_moves, unanswerable
from shoal.graphs.foresight import Foresight
from shoal.graphs.large import Large
from shoal.graphs.outcome import flag, flag_over_budget, foreseen, settle, settle_large, unrouted
from shoal.graphs.result import PARTS, compose_part
from shoal.graphs.state import Outcome, Planned, TeamState, Work
from shoal.graphs.step_row import begin_step, broken_off, end_step
from shoal.graphs.stream import current_stream
from shoal.router.escalation.metered_model import RAISE, Meter
from shoal.tracing.record import StepRow
from shoal.tracing.scope import scope
from shoal.tracing.spans import AgentSpan, RoutingSpan
from shoal.tracing.spending import Refusal

__all__ = ["MAX_CHAIN", "TeamNodes", "TeamParts"]

MAX_CHAIN = 200
"""Subtasks that may depend on one another in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamParts:
    """What a team's graph is made of."""

    agents: Mapping[str, Agent[Any]]
    router: RoutePort
    judge: Judge
    foresight: Foresight
    runtime: Runtime
    probe: Probe
    """Signals that agents pay further calls for."""
    large: Large | None
    """Who is asked when a local answer is not good enough; None = flag it instead."""


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
            outcome = unrouted(item)
            outcomes[item.subtask.id] = outcome.model_dump(mode="json")
            step = begin_step(state["run_id"], "route", item, agent=None, escalated=False)
            await ledger.begin_step(step)
            await ledger.end_step(end_step(step, outcome, latency_s / len(planned)))
        return {"planned": [item.model_dump(mode="json") for item in planned], "outcomes": outcomes}

    def dispatch(self, state: TeamState) -> list[Send] | Literal["merge", "consent"]:
        """Send every subtask that can run to its node; to merge when none is left."""
        planned = [Planned.model_validate(item) for item in state["planned"]]
        outcomes = {key: Outcome.model_validate(value) for key, value in state.get("outcomes", {}).items()}
        moves = next_moves(planned, outcomes)
        if self._unasked(moves, state):
            return "consent"
        return [
            Send(
                move.node,
                Work(
                    run_id=state["run_id"],
                    planned=move.planned.model_dump(mode="json"),
                    context=[asdict(passage) for passage in move.context],
                    local=state["outcomes"].get(move.planned.subtask.id),
                ),
            )
            for move in moves
        ] or "merge"

    async def judge(self, state: TeamState) -> Command:
        """Wait for the whole wave, then send what follows: next subtasks, escalations, or the end."""
        return Command(goto=self.dispatch(state))

    async def consent(self, state: TeamState) -> dict[str, Any]:
        """Pause the run until a person has said which texts may go to the large model.

        Nobody is asked for what the budget forbids already. Up to `interrupt` it runs again when the run is
        resumed, so that nothing there may have an effect.
        """
        large, run_id, ledger = self._parts.large, state["run_id"], self._parts.runtime.ledger
        assert large is not None, "dispatch asks only where there is a large model"
        planned = [Planned.model_validate(item) for item in state["planned"]]
        outcomes = {key: Outcome.model_validate(value) for key, value in state["outcomes"].items()}
        asked: dict[str, dict[str, Any]] = {}
        refused: dict[str, tuple[Meter, Refusal]] = {}
        for move in self._unasked(next_moves(planned, outcomes), state):
            key, agent = move.planned.subtask.id, self._parts.agents[str(move.planned.decision.agent)]
            meter = large.meter(ledger, seconds=agent.timeout_s, benefit=outcomes[key].verdict.benefit)
            if (refusal := await meter.refusal(run_id, agent.name)) is not None:
                refused[key] = meter, refusal
            else:
                asked[key] = ask_consent(move.planned, outcomes[key], agent, large)
        answers: Mapping[str, bool] = interrupt(list(asked.values())) if asked else {}
        # What a budget forbade when the others were asked may be allowed by now: it is asked for next.
        decided = {key: bool(answers[key]) for key in asked if key in answers}
        flagged: list[Outcome] = []
        for key, (meter, refusal) in refused.items():
            await meter.refuse(run_id, str(outcomes[key].agent), refusal)
            flagged.append(flag_over_budget(outcomes[key], refusal.reason, mend=RAISE))
        for key, allowed in decided.items():
            await ledger.begin_step(decided_step(run_id, asked[key], allowed=allowed))
            if not allowed:
                flagged.append(flag(outcomes[key], "A person forbade it, so the answer is flagged."))
        for outcome in flagged:
            current_stream.get().settled(outcome)
        return {
            "consents": decided,
            "outcomes": {outcome.subtask_id: outcome.model_dump(mode="json") for outcome in flagged},
        }

    async def agent(self, work: Work) -> dict[str, Any]:
        """Let the chosen agent make its attempt, unless its answer could not be kept anyway."""
        planned = Planned.model_validate(work["planned"])
        assert planned.decision.agent is not None, "dispatch sends only routed subtasks here"
        agent = self._parts.agents[planned.decision.agent]
        context = tuple(Passage(**passage) for passage in work["context"])
        started = time.perf_counter()
        known = self._parts.foresight.look(agent.name, planned.subtask.text, planned.decision)
        step = begin_step(work["run_id"], agent.name, planned, agent=agent.name, escalated=False)
        if (verdict := await self._foresee(agent, known, work["run_id"])) is not None:
            await self._parts.runtime.ledger.begin_step(step)
            outcome = foreseen(planned, agent.name, known, verdict, context)
            return await self._settled(step, self._priced(outcome, Usage()), time.perf_counter() - started)
        task = Task(
            agent=agent,
            text=planned.subtask.text,
            runtime=self._parts.runtime,
            judge=self._parts.judge,
            decision=planned.decision,
            difficulty=known.difficulty,
            context=context,
            large=self._parts.large is not None,
            probe=self._parts.probe,
            place=f"{agent.name}/{planned.subtask.id}",
        )
        attempt = await self._attempt(task, step)
        usage = attempt.response.usage if attempt.response else Usage()
        outcome = self._priced(settle(planned, attempt, agent, escalated=False), usage)
        return await self._settled(step, outcome, attempt.latency_s, attempt.drafts)

    async def large(self, work: Work) -> dict[str, Any]:
        """Ask the large model for the same job: the agent's prompt, passages and checks, another model."""
        planned, local = Planned.model_validate(work["planned"]), Outcome.model_validate(work["local"])
        large, runtime = self._parts.large, self._parts.runtime
        assert planned.decision.agent is not None
        assert large is not None, "the judge escalates only where there is a large model"
        agent = self._parts.agents[planned.decision.agent]
        context = tuple(Passage(**passage) for passage in work["context"])
        task = Task(
            agent=large.agent(agent, local.passages),
            text=planned.subtask.text,
            runtime=large.metered(runtime, seconds=agent.timeout_s, benefit=local.verdict.benefit),
            judge=large.judge,
            decision=planned.decision,
            context=local.passages if local.passages or large.asks_consent else context,
            purpose="escalation",
            place=f"large/{planned.subtask.id}",
        )
        current_stream.get().escalated(planned.subtask.id, agent=agent.name, to_model=large.name)
        step = begin_step(work["run_id"], "large", planned, agent=agent.name, escalated=True)
        attempt = await self._attempt(task, step)
        outcome = settle_large(planned, attempt, agent, local)
        return await self._settled(step, outcome, attempt.latency_s, attempt.drafts)

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

    def _unasked(self, moves: list[Move], state: TeamState) -> list[Move]:
        """Those that wait for a person's consent."""
        if self._parts.large is None or not self._parts.large.asks_consent:
            return []
        decided = state.get("consents", {})
        return [move for move in moves if move.node == "large" and move.planned.subtask.id not in decided]

    async def _attempt(self, task: Task[Any], step: StepRow) -> Attempt[Any]:
        """Make the attempt inside its step, telling whoever reads along."""
        agent, runtime = task.agent, self._parts.runtime
        await runtime.ledger.begin_step(step)
        stream, subtask_id = current_stream.get(), step.subtask_id or ""
        try:
            with (
                scope(run_id=step.run_id, step_id=step.id, agent=agent.name),
                runtime.spans.open(AgentSpan(name=agent.name, step_id=step.id, job=agent.job)),
            ):
                async for event in attempt_events(task):
                    match event:
                        case Attempt():
                            return event
                        case Repairing(verdict=verdict):
                            stream.repairing(subtask_id, verdict, agent=agent.name, escalated=step.escalated)
                        case ChatDelta(text=text):
                            stream.said(subtask_id, text)
                raise RunError(f"{agent.name} ended without an attempt")
        except Exception as error:
            await runtime.ledger.end_step(broken_off(step, error))
            raise

    async def _foresee(self, agent: Agent[Any], known: Signals, run_id: str) -> Verdict | None:
        """To escalate at once; where the budget is used up, no: a local answer can be looked at."""
        large, runtime = self._parts.large, self._parts.runtime
        if large is None:
            return None
        verdict = await self._parts.foresight.verdict(agent, known, runtime)
        if verdict is None:
            return None
        meter = large.meter(runtime.ledger, seconds=agent.timeout_s, benefit=verdict.benefit)
        return verdict if await meter.refusal(run_id, agent.name) is None else None

    def _priced(self, outcome: Outcome, usage: Usage) -> Outcome:
        """With the predicted cost of what could follow, where there is a choice."""
        if self._parts.large is None:
            return outcome
        asked = self._parts.large.forecast.expected_usd(usage)
        return outcome.model_copy(update={"alternatives": {"accept": 0.0, "escalate": asked, "abstain": 0.0}})

    async def _settled(
        self, step: StepRow, outcome: Outcome, latency_s: float, drafts: tuple[Judged, ...] = ()
    ) -> dict[str, Any]:
        await self._parts.runtime.ledger.end_step(end_step(step, outcome, latency_s, drafts))
        current_stream.get().settled(outcome)
        return {"outcomes": {outcome.subtask_id: outcome.model_dump(mode="json")}}


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


def _show(item: Planned, outcome: Outcome, *, alone: bool) -> str:
    why = outcome.verdict.reason
    return compose_part(outcome.text, outcome.status, subtask=item.subtask.text, why=why, alone=alone)
