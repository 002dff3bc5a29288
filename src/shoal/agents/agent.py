"""An agent: a narrow specialist that does one thing well, and the ways to run it.

An `Agent` is immutable and holds no connection. It runs on the `Runtime` it is given, or on the process's
default one, so the same object serves a team, a node of somebody's own LangGraph graph, and a script.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from shoal.agents.attempt import AgentEvent, Attempt, Judge, OutputT
from shoal.agents.loop import attempt_events
from shoal.agents.runtime import Runtime, default_runtime
from shoal.agents.spec import AgentSpec
from shoal.agents.validation import HardChecks
from shoal.agents.work import Task
from shoal.core.errors import ConfigError, StreamBroken
from shoal.core.sync import run_sync

__all__ = ["Agent"]


@dataclass(frozen=True)
class Agent(AgentSpec[OutputT]):
    """A specialist: its job, its model, and the shape of its answer. Fields: see `AgentSpec`.

    Example:
        >>> Agent("echo", job="Repeat a text.", model=lambda text: text).run_sync("hello").output
        'hello'
    """

    async def run(
        self, text: str, *, runtime: Runtime | None = None, judge: Judge | None = None
    ) -> Attempt[OutputT]:
        """Make one attempt. It is judged but never escalated: that takes a `Team`.

        Raises:
            InputError: the text is empty, binary or too long to be meant.
            ConfigError: the model, an alias or the knowledge folder does not exist, or may not be used.
            StorageError: index or ledger cannot be used.
        """
        events = self.stream(text, runtime=runtime, judge=judge)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Attempt):
                    return event
        raise StreamBroken(f"{self.name} ended without an attempt")

    def run_sync(self, text: str) -> Attempt[OutputT]:
        """`run` for code without an event loop. Raises what `run` raises, and `RunError` inside a loop."""
        return run_sync(self.run(text))

    def stream(
        self, text: str, *, runtime: Runtime | None = None, judge: Judge | None = None
    ) -> AsyncGenerator[AgentEvent[OutputT]]:
        """Deltas as they come; `Repairing` voids them; the `Attempt` is last. Raises what `run` raises."""
        return attempt_events(
            Task(agent=self, text=text, runtime=runtime or default_runtime(), judge=judge or HardChecks())
        )

    def as_node(
        self,
        *,
        input: str,  # noqa: A002 (the word the state's authors look for)
        output: str,
        runtime: Runtime | None = None,
    ) -> Callable[[Any], Awaitable[dict[str, OutputT]]]:
        """A node for a LangGraph graph: reads the state's `input` field and sets `output`.

        The state may be a mapping, a dataclass or a pydantic model. The node raises what `Attempt.unwrap`
        raises, so that the graph's own retry and error handling see it.
        """

        async def node(state: Any) -> dict[str, OutputT]:
            attempt = await self.run(_read_text(state, input, self.name), runtime=runtime)
            return {output: attempt.unwrap()}

        node.__name__ = self.name
        return node


def _read_text(state: Any, field: str, agent: str) -> str:
    if isinstance(state, Mapping):
        value = cast("Mapping[str, object]", state).get(field)
    else:
        value = getattr(state, field, None)
    if isinstance(value, str):
        return value
    raise ConfigError(
        f'the graph\'s state has no text in "{field}"',
        why=f'the node of {agent} was made with as_node(input="{field}"), and found {type(value).__name__}',
        mend="name a field of the state that holds text before this node runs",
    )
