"""A chat model that waits for its turn: the place where every call of every team meets the scheduler."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import final

from shoal.core.chat import ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import EngineDown
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import Usage, add_known
from shoal.serving.lane import Lane
from shoal.serving.scheduler import Scheduler
from shoal.serving.task import Costs, Load, Task
from shoal.tracing.scope import Scope, current_scope

__all__ = ["ScheduledModel"]

IDENTIFY_S = 30.0
"""For what costs an engine no more than a look at its files."""
SUSPECT_S = 0.3
"""A resident model that took longer than this to be ready was perhaps loaded again."""


@final
class ScheduledModel:
    """Wraps a model. The wait is added to `Usage.queue_s`, a swap made for the call to `Usage.load_s`.

    A place is given back when the response is there, or when the stream fails, is closed or cancelled; a
    waiter that is cancelled leaves the queue.
    """

    def __init__(
        self, inner: ChatModel, scheduler: Scheduler, *, parallel: int, engine: ChatModel | None = None
    ) -> None:
        """Nothing is asked here.

        Args:
            inner: the model asked.
            scheduler: of its host.
            parallel: calls that the model can take side by side.
            engine: the adapter within `inner`, which the host identifies; None = `inner`.
        """
        self._inner = inner
        self._scheduler = scheduler
        self._parallel = parallel
        self._engine = engine or inner
        self._lane: Lane | None = None
        self._identifying = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def waiting(self) -> int:
        """Requests in the queue now."""
        return 0 if self._lane is None else self._lane.waiting

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Wait for a turn, then ask.

        Raises:
            Overloaded: the queue is full.
            ShoalError: the model cannot be loaded; or whatever it raises itself.
        """
        # Read here and not in the generator, which runs later and perhaps in another context.
        return self._ask(request, current_scope.get())

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _ask(self, request: ChatRequest, scope: Scope) -> AsyncGenerator[ChatEvent]:
        clock = self._scheduler.clock
        arrived, response = clock(), None
        lane = self._lane or await self.identify()
        task = Task(
            load=lane.load,
            prefix=request.adapter or request.messages[:1],
            batch=scope.purpose == "escalation",
            deadline=scope.deadline,
        )
        async with self._scheduler.turn(task):
            began = clock()
            async with aclosing(self._inner.stream(request)) as events:
                async for event in events:
                    if isinstance(event, ChatResponse):
                        response = event
                        break
                    yield event
        if response is not None:
            self._learn(lane, response.usage, took_s=clock() - began)
            usage = response.usage
            queue_s = add_known(usage.queue_s, max(0.0, began - arrived - task.swap_s))
            load_s = add_known(usage.load_s, task.swap_s) if task.swap_s else usage.load_s
            yield replace(response, usage=replace(usage, queue_s=queue_s, load_s=load_s))

    async def identify(self) -> Lane:
        """The queue of the model's load.

        Raises:
            ShoalError: the engine does not have the model, or does not answer.
        """
        async with self._identifying:
            if self._lane is None:
                self._lane = await self._find_lane()
            return self._lane

    async def _find_lane(self) -> Lane:
        scheduler, known = self._scheduler, None
        if scheduler.host is not None:
            limit = asyncio.timeout(IDENTIFY_S)
            try:
                async with limit:
                    known = await scheduler.host.identify(self._engine)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise EngineDown(f"{scheduler.name} has gone silent", mend="start it again") from error
        load, costs = known or (Load(host=scheduler.name, base=self.name, model=self.name), Costs())
        costs = scheduler.learnt.costs(load, costs)
        lane = scheduler.schedule.lane(load, is_pinned=known is None)
        lane.costs, lane.parallel = costs, self._parallel
        return lane

    def _learn(self, lane: Lane, usage: Usage, *, took_s: float) -> None:
        measured = {"task_s": max(0.0, took_s - (usage.load_s or 0.0))}
        if usage.prefill_s is not None and usage.prefill_s > lane.costs.prefix_s / 2:
            measured["prefix_s"] = usage.prefill_s  # a short one came from the cache
        self._scheduler.learnt.note(lane.load, lane.costs, **measured)
        if usage.load_s is not None and usage.load_s > SUSPECT_S and not lane.is_pinned:
            self._lane = None  # perhaps other weights under the same name
            self._scheduler.doubt()
