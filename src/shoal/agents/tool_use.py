"""The tools of one attempt: called within bounds, and effects on record so that none happens twice.

A model that names a tool that does not exist, or writes arguments that do not fit, is told so and may try
again: that is a result like any other. Effects count only within a run, which can be resumed; an agent that
runs on its own cannot, and so nothing is recorded.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

from shoal.core.errors import OutputInvalid, RunError, ToolFailed, UnknownName
from shoal.tools import Tool, Toolset
from shoal.tracing.effect import Claim, Effect
from shoal.tracing.ledger import Ledger
from shoal.tracing.scope import current_scope

__all__ = ["MAX_TOOL_CALLS", "ToolUse"]

MAX_TOOL_CALLS = 6
"""In one attempt, repairs included."""


@final
class ToolUse:
    """Calls tools by name. One object an attempt."""

    def __init__(self, tools: Sequence[Tool], ledger: Ledger, place: str) -> None:
        """`place`: of the attempt in its run, the same when the run is resumed."""
        self._tools = Toolset(tools)
        self._ledger = ledger
        self._place = place
        self._calls = 0
        self._effects = 0

    @property
    def acted(self) -> bool:
        """A tool that changes something was called."""
        return self._effects > 0

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What to show the model: the result, or what was wrong with the call.

        Raises:
            RunError: too many calls, or an effect that may have happened before and must not happen twice.
            StorageError: the effect cannot be recorded.
        """
        if self._calls == MAX_TOOL_CALLS:
            raise RunError(
                f"tools were called {MAX_TOOL_CALLS} times without an answer",
                why="the model goes round in circles",
                mend="give the agent fewer tools or a larger model",
            )
        self._calls += 1
        try:
            tool = self._tools[name]
            run_id = current_scope.get().run_id
            if tool.effect == "read" or run_id is None:
                return await tool.call(arguments)
            return await self._act(tool, arguments, run_id)
        except (UnknownName, OutputInvalid, ToolFailed) as error:
            return f"error: {error.what}: {error.why}"

    async def _act(self, tool: Tool, arguments: Mapping[str, Any], run_id: str) -> str:
        effect = Effect(
            run_id=run_id, node=self._place, ordinal=self._effects, tool=tool.name, kind=tool.effect
        )
        self._effects += 1
        claim = await self._ledger.claim_effect(effect)
        match claim.action:
            case "use_result":
                return claim.result or ""
            case "do":
                return await self._ledger.finish_effect(
                    claim.key, await self._do(tool, arguments, claim, run_id)
                )
            case "verify" | "park":
                raise _undecided(tool, claim, run_id)

    async def _do(self, tool: Tool, arguments: Mapping[str, Any], claim: Claim, run_id: str) -> str:
        try:
            return await tool.call(arguments)
        except OutputInvalid:
            await self._ledger.withdraw_effect(claim.key)  # it never began
            raise
        except ToolFailed as error:
            if tool.effect == "idempotent":
                raise
            raise _undecided(tool, claim, run_id) from error


def _undecided(tool: Tool, claim: Claim, run_id: str) -> RunError:
    return RunError(
        f"{tool.name} may have been done already, and nobody can tell",
        why=f"it stopped between its beginning and its end (effect {claim.key})",
        mend=f"look whether it happened, then start a new request; what is known: shoal trace {run_id[:8]}",
    )
