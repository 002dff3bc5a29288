"""Runs a compiled team graph: admission, execution, the ledger's last word, resuming.

A run is admitted (its row is committed) before anything else happens, so that an accepted request cannot
vanish; it ends as done, flagged, failed or interrupted, never without a word.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from shoal.agents import check_text
from shoal.core.errors import RunError
from shoal.graphs.nodes import TeamParts
from shoal.graphs.result import Result, build_result
from shoal.graphs.state import Outcome, Planned
from shoal.graphs.team_graph import build_team_graph
from shoal.tracing.record import RunRow, new_id
from shoal.tracing.spans import WorkflowSpan

__all__ = ["TeamRunner"]

RECURSION_LIMIT = 1_000
"""LangGraph's bound on supersteps; a chain of this many dependent subtasks is a mistake."""


class TeamRunner:
    """One team on one event loop."""

    def __init__(self, name: str, parts: TeamParts, checkpoints: BaseCheckpointSaver | None) -> None:
        self._name = name
        self._ledger = parts.runtime.ledger
        self._spans = parts.runtime.spans
        self._graph = build_team_graph(parts).compile(checkpointer=checkpoints)
        self._durable = checkpoints is not None

    async def run(self, request: str, *, thread_id: str | None = None) -> Result:
        """Admit a request and see it through.

        Raises:
            InputError: the request cannot be worked on; nothing was recorded.
            ShoalError: the run failed; its ledger row says why and its id is in the error's mend.
        """
        check_text(request)
        run_id = new_id()
        await self._ledger.begin_run(
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

    async def resume(self, run_id: str) -> Result:
        """Go on where a run stopped: finished steps are not done again.

        Raises:
            RunError: there is no such run, it has ended, or nothing of it was checkpointed.
        """
        row = self._ledger.run(run_id).run
        if row.status in ("done", "flagged"):
            raise RunError(f"run {row.id[:8]} has ended", mend=f"shoal trace {row.id[:8]}")
        state = await self._graph.aget_state(self._config(row.id))
        # A run that was killed between its admission and its first checkpoint starts from its request.
        start = None if state.next else {"run_id": row.id, "request": row.input}
        await self._ledger.mark_run(row.id, "running")
        return await self._see_through(row.id, start)

    async def _see_through(self, run_id: str, start: Mapping[str, Any] | None) -> Result:
        try:
            with self._spans.open(WorkflowSpan(team=self._name, run_id=run_id)):
                state = await self._graph.ainvoke(
                    start, self._config(run_id), durability="sync" if self._durable else None
                )
        except asyncio.CancelledError as error:
            await asyncio.shield(self._ledger.end_run(run_id, "interrupted", error=error))
            raise
        except Exception as error:
            await self._ledger.end_run(run_id, "failed", error=error)
            raise
        return await self._conclude(run_id, state)

    async def _conclude(self, run_id: str, state: Mapping[str, Any]) -> Result:
        planned = [Planned.model_validate(item) for item in state["planned"]]
        outcomes = {key: Outcome.model_validate(value) for key, value in state["outcomes"].items()}
        flagged = any(outcome.status != "accepted" for outcome in outcomes.values())
        await self._ledger.end_run(run_id, "flagged" if flagged else "done", answer=state["answer"])
        return build_result(planned, outcomes, state["answer"], self._ledger.run(run_id))

    @staticmethod
    def _config(run_id: str) -> dict[str, Any]:
        return {"configurable": {"thread_id": run_id}, "recursion_limit": RECURSION_LIMIT}
