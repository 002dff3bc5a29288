"""Runs a compiled team graph: admission, execution, the ledger's last word, resuming.

A run is admitted (its row is committed) before anything else happens, so that an accepted request cannot
vanish; it ends as done, flagged, failed or interrupted, never without a word.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from langgraph.types import Command
from langsmith import tracing_context

from shoal.agents import check_text
from shoal.core.errors import RunError
from shoal.graphs.checkpoint import Checkpoints
from shoal.graphs.consent import ConsentRequest, parse_requests
from shoal.graphs.event import Answered, StreamMode, TeamEvent
from shoal.graphs.lease import lease
from shoal.graphs.nodes import TeamParts
from shoal.graphs.result import Result, build_result
from shoal.graphs.state import Outcome, Planned
from shoal.graphs.stream import EventStream, current_stream
from shoal.graphs.team_graph import build_team_graph
from shoal.tracing.record import RunRow, RunStatus, new_id
from shoal.tracing.spans import WorkflowSpan

__all__ = ["TeamRunner"]

LEASES = "leases"
RECURSION_LIMIT = 1_000
"""LangGraph's bound on supersteps: more than `MAX_CHAIN` subtasks after one another can take."""


class TeamRunner:
    """One team on one event loop."""

    def __init__(self, name: str, parts: TeamParts, checkpoints: Checkpoints | None) -> None:
        self._name = name
        self._ledger = parts.runtime.ledger
        self._spans = parts.runtime.spans
        self._agents = frozenset(parts.agents)
        self._has_large = parts.large is not None
        self._checkpoints = checkpoints
        self._streams: set[asyncio.Task[Result]] = set()
        self._graph = build_team_graph(parts).compile(checkpointer=checkpoints.saver if checkpoints else None)

    async def run(self, request: str, *, thread_id: str | None = None) -> Result:
        """Admit a request and see it through.

        Raises:
            InputError: the request cannot be worked on; nothing was recorded.
            ShoalError: the run failed; its ledger row says why.
        """
        check_text(request)
        run_id = new_id()
        with self._lease(run_id):
            await self._admit(
                RunRow(
                    id=run_id,
                    team=self._name,
                    input=request,
                    status="running",
                    started_at=time.time(),
                    thread_id=thread_id,
                )
            )
            return await self._see_through(run_id, {"run_id": run_id, "request": request})

    async def stream(
        self, request: str, *, mode: StreamMode, thread_id: str | None = None
    ) -> AsyncGenerator[TeamEvent]:
        """`run`, telling what happens; the last event is `Answered`. Closing it early interrupts the run.

        Raises:
            RunError: the team was closed before the end.
            ShoalError: what `run` raises.
        """
        events = EventStream(mode)

        async def run() -> Result:
            current_stream.set(events)  # of this task and the nodes it starts, and of nobody else
            return await self.run(request, thread_id=thread_id)

        task = asyncio.create_task(run())
        task.add_done_callback(lambda _: events.end())
        self._streams.add(task)
        try:
            while (event := await events.read()) is not None:
                yield event
            if task.cancelled():
                raise RunError("the stream ended before its answer", why="its team was closed meanwhile")
            yield Answered(result=task.result())
        finally:
            self._streams.discard(task)
            await _stop(task)

    async def aclose(self) -> None:
        """Interrupt the runs whose streams are still open."""
        for task in list(self._streams):
            await _stop(task)

    async def resume(self, run_id: str, *, consent: bool | Mapping[str, bool] | None = None) -> Result:
        """Go on where a run stopped: finished steps are not done again.

        Raises:
            RunError: there is no such run, it has ended, somebody works on it, it left no checkpoints, or it
                needs an agent that this team does not have.
            ShoalError: the run failed; its ledger row says why.
        """
        row = (await asyncio.to_thread(self._ledger.run, run_id)).run
        with self._lease(row.id):
            # Asked again: somebody else may have ended it while we waited.
            row = (await asyncio.to_thread(self._ledger.run, row.id)).run
            return await self._go_on(row, consent)

    async def _go_on(self, row: RunRow, consent: bool | Mapping[str, bool] | None) -> Result:  # noqa: FBT001
        if row.status in ("done", "flagged"):
            raise RunError(f"run {row.id[:8]} has ended", mend=f"shoal trace {row.id[:8]}")
        if self._checkpoints is None:
            raise RunError(
                f"run {row.id[:8]} cannot be resumed",
                why="this team keeps no checkpoints",
                mend="Team(..., durable=True)",
            )
        with self._checkpoints.errors():
            state = await self._graph.aget_state(self._config(row.id))
        self._check_parts(row.id, state.values)
        if not state.next and "answer" in state.values:
            return await self._conclude(row.id, state.values)
        if state.interrupts:
            asked = parse_requests(state.interrupts[0].value)
            if consent is None:
                return await self._wait(row.id, state.values, asked)
            allowed = dict.fromkeys((one.subtask_id for one in asked), False)
            allowed |= dict.fromkeys(allowed, consent) if isinstance(consent, bool) else consent
            await self._ledger.mark_run(row.id, "running")
            return await self._see_through(row.id, Command(resume=allowed))
        # A run that was killed between its admission and its first checkpoint starts from its request.
        start = None if state.next else {"run_id": row.id, "request": row.input}
        await self._ledger.mark_run(row.id, "running")
        return await self._see_through(row.id, start)

    async def _admit(self, row: RunRow) -> None:
        """Commit the run's row; cancelled meanwhile, it is interrupted, and not running for ever."""
        admission = asyncio.ensure_future(self._ledger.begin_run(row))
        try:
            await asyncio.shield(admission)
        except asyncio.CancelledError as error:
            await admission
            await self._end(row.id, "interrupted", error=error)
            raise

    async def _end(
        self, run_id: str, status: RunStatus, *, answer: str | None = None, error: BaseException | None = None
    ) -> None:
        shown_s = current_stream.get().first_shown_s
        await asyncio.shield(
            self._ledger.end_run(run_id, status, answer=answer, error=error, first_shown_s=shown_s)
        )

    async def _see_through(self, run_id: str, start: Mapping[str, Any] | Command | None) -> Result:
        try:
            with (
                # Environment variables of LangSmith would send every request and answer to its servers.
                tracing_context(enabled=False),
                self._spans.open(WorkflowSpan(team=self._name, run_id=run_id)) as span,
                self._checkpoints.errors() if self._checkpoints else nullcontext(),
            ):
                state = await self._graph.ainvoke(
                    start, self._config(run_id), durability="sync" if self._checkpoints else None
                )
                if (shown_s := current_stream.get().first_shown_s) is not None:
                    span.shown(shown_s)
        except asyncio.CancelledError as error:
            await self._end(run_id, "interrupted", error=error)
            raise
        except Exception as error:
            await self._end(run_id, "failed", error=error)
            raise
        if paused := state.get("__interrupt__"):
            return await self._wait(run_id, state, parse_requests(paused[0].value))
        return await self._conclude(run_id, state)

    async def _wait(self, run_id: str, state: Mapping[str, Any], asked: tuple[ConsentRequest, ...]) -> Result:
        """Leave the run to a person; any process can go on with it."""
        planned, outcomes = _parse(state)
        await self._ledger.mark_run(run_id, "waiting")
        record = await asyncio.to_thread(self._ledger.run, run_id)
        models = ", ".join(sorted({one.model for one in asked}))
        answer = f"Waiting for consent to send {len(asked)} of {len(planned)} subtasks to {models}."
        return build_result(planned, outcomes, answer, record, asked)

    async def _conclude(self, run_id: str, state: Mapping[str, Any]) -> Result:
        planned, outcomes = _parse(state)
        flagged = any(outcome.status != "accepted" for outcome in outcomes.values())
        await self._end(run_id, "flagged" if flagged else "done", answer=state["answer"])
        record = await asyncio.to_thread(self._ledger.run, run_id)
        return build_result(planned, outcomes, state["answer"], record)

    def _check_parts(self, run_id: str, state: Mapping[str, Any]) -> None:
        """LangGraph drops work for a node that is not there; nothing is dropped silently here."""
        planned = [Planned.model_validate(item) for item in state.get("planned", ())]
        needed = {item.decision.agent for item in planned if item.decision.agent is not None}
        waits_for_large = any(item["status"] == "pending" for item in state.get("outcomes", {}).values())
        missing = sorted(needed - self._agents) or ["large"] * (waits_for_large and not self._has_large)
        if missing:
            raise RunError(
                f"run {run_id[:8]} cannot go on without {', '.join(missing)}",
                why="the team it was begun with had it, and this one does not",
                mend=f"resume it with the team that began it: shoal run --resume {run_id[:8]}",
            )

    def _lease(self, run_id: str) -> AbstractContextManager[None]:
        """A run without checkpoints cannot be resumed, so that nobody else could work on it."""
        return lease(self._checkpoints.path.parent / LEASES, run_id) if self._checkpoints else nullcontext()

    @staticmethod
    def _config(run_id: str) -> dict[str, Any]:
        return {"configurable": {"thread_id": run_id}, "recursion_limit": RECURSION_LIMIT}


def _parse(state: Mapping[str, Any]) -> tuple[list[Planned], dict[str, Outcome]]:
    planned = [Planned.model_validate(item) for item in state["planned"]]
    return planned, {key: Outcome.model_validate(value) for key, value in state["outcomes"].items()}


async def _stop(task: "asyncio.Task[Result]") -> None:
    """Cancel it if it still runs, and wait until it has cleaned up; what it raises is no longer wanted."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
