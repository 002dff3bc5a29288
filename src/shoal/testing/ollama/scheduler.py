"""Who is loaded and who waits: the queue, evictions, slots and prefix caches of a real Ollama (v0.24).

Its faults included: a full queue refuses, a change of load-time options reloads, an explicit keep_alive on
a model that is being evicted keeps it there for ever and with it everybody who waits for a load
(https://github.com/ollama/ollama/issues/17408), and a prefix cache is lost when prompts alternate.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import final

from shoal.testing.ollama.fault import QUEUE_FULL
from shoal.testing.ollama.model import FakeModel

__all__ = ["Clock", "Refusal", "Runner", "Scheduler"]

DEFAULT_KEEP_ALIVE_S = 300.0


class Refusal(Exception):
    """The server answers with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@final
class Clock:
    """The server's time: `scale` real seconds pass for each of its own; at 0 nothing waits."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    async def spend(self, seconds: float) -> None:
        if self.scale and seconds:
            await asyncio.sleep(seconds * self.scale)

    def since(self, started: float, *, nominal: float) -> float:
        """Seconds of server time since `time.perf_counter()` was `started`; at scale 0, the nominal ones."""
        return (time.perf_counter() - started) / self.scale if self.scale else nominal


@final
class Runner:
    """A loaded model."""

    def __init__(self, model: FakeModel, load_options: object, num_ctx: int, *, slots: int) -> None:
        self.model = model
        self.load_options = load_options
        self.num_ctx = num_ctx
        self.keep_alive_s = DEFAULT_KEEP_ALIVE_S
        self.users = 0
        self._free = asyncio.Semaphore(slots)
        self._caches: list[Sequence[str] | None] = [()] * slots
        """The last prompt of each slot; None while it is in use."""

    @asynccontextmanager
    async def slot(self, prompt: Sequence[str]) -> AsyncGenerator[int]:
        """Wait for a slot; gives the number of prompt tokens that it has cached.

        The free slot with the longest common prefix is taken, even when an empty one would keep a
        neighbour's cache alive.
        """
        async with self._free:
            number, cached = self._pick(prompt)
            self._caches[number] = None
            try:
                yield cached
            finally:
                self._caches[number] = prompt

    def _pick(self, prompt: Sequence[str]) -> tuple[int, int]:
        best, most = -1, -1
        for number, cache in enumerate(self._caches):
            if cache is not None and (same := _common(cache, prompt)) > most:
                best, most = number, same
            if most == len(prompt):
                break
        return best, most


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    same = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        same += 1
    return same


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    runner: Runner
    load_s: float
    """Queue, evictions and load."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Pending:
    model: FakeModel
    load_options: object
    num_ctx: int
    runner: asyncio.Future[Runner]


@final
class Scheduler:
    """Loads and unloads. One request for a load at a time; those behind it wait in order."""

    def __init__(self, clock: Clock, *, max_loaded: int, max_queue: int, slots: int) -> None:
        self.loaded: dict[str, Runner] = {}
        self.loads: list[str] = []
        """Names in the order in which they were loaded, reloads included."""
        self.unloads: list[str] = []
        self._clock = clock
        self._max_loaded = max_loaded
        self._slots = slots
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(max_queue)
        self._unloaded = asyncio.Condition()
        self._worker: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def use(
        self, model: FakeModel, load_options: object, num_ctx: int, *, keep_alive_s: float | None
    ) -> AsyncGenerator[Lease]:
        """The model's runner, loaded with these options, until the request is over.

        Raises:
            Refusal: the queue for loads is full.
        """
        started, nominal = time.perf_counter(), 0.0
        runner = self.loaded.get(model.key)
        if runner is None or runner.load_options != load_options:
            runner, nominal = await self._wait_for_load(model, load_options, num_ctx), model.load_s
        else:
            runner.users += 1
        if keep_alive_s is not None:
            runner.keep_alive_s = keep_alive_s  # also when it was marked for eviction: the deadlock
        try:
            yield Lease(runner=runner, load_s=self._clock.since(started, nominal=nominal))
        finally:
            runner.users -= 1
            if not runner.users and runner.keep_alive_s <= 0:
                await self._unload(runner)

    async def expire(self, key: str) -> None:
        """Unload as soon as nobody uses it."""
        runner = self.loaded.get(key)
        if runner is not None:
            runner.keep_alive_s = 0
            if not runner.users:
                await self._unload(runner)

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker

    async def _wait_for_load(self, model: FakeModel, load_options: object, num_ctx: int) -> Runner:
        if self._worker is None:
            self._worker = asyncio.create_task(self._load_in_order())
        future: asyncio.Future[Runner] = asyncio.get_running_loop().create_future()
        pending = _Pending(model=model, load_options=load_options, num_ctx=num_ctx, runner=future)
        try:
            self._queue.put_nowait(pending)
        except asyncio.QueueFull:
            raise Refusal(503, QUEUE_FULL) from None
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled():  # loaded in the very moment in which the client left
                future.result().users -= 1
            raise

    async def _load_in_order(self) -> None:
        while True:
            pending = await self._queue.get()
            if pending.runner.cancelled():
                continue
            runner = await self._make_ready(pending)
            if pending.runner.cancelled():
                runner.users -= 1
            else:
                pending.runner.set_result(runner)

    async def _make_ready(self, pending: _Pending) -> Runner:
        key = pending.model.key
        while True:
            runner = self.loaded.get(key)
            if runner is not None and runner.load_options == pending.load_options:
                runner.users += 1
                return runner
            if runner is None and len(self.loaded) < self._max_loaded:
                return await self._load(pending)
            await self._evict(runner or self._pick_victim())

    async def _load(self, pending: _Pending) -> Runner:
        await self._clock.spend(pending.model.load_s)
        runner = Runner(pending.model, pending.load_options, pending.num_ctx, slots=self._slots)
        runner.users = 1
        self.loaded[pending.model.key] = runner
        self.loads.append(pending.model.name)
        return runner

    def _pick_victim(self) -> Runner:
        """Idle ones first, then the shortest keep_alive, then the name: not the least recently used."""
        ranked = sorted(self.loaded.values(), key=lambda each: (each.keep_alive_s, each.model.key))
        return min(ranked, key=lambda each: each.users > 0)

    async def _evict(self, victim: Runner) -> None:
        await self.expire(victim.model.key)
        async with self._unloaded:
            await self._unloaded.wait_for(lambda: self.loaded.get(victim.model.key) is not victim)

    async def _unload(self, runner: Runner) -> None:
        if self.loaded.get(runner.model.key) is runner:
            del self.loaded[runner.model.key]
            self.unloads.append(runner.model.name)
        async with self._unloaded:
            self._unloaded.notify_all()
