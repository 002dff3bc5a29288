"""Carries out what the schedule says: lets calls go, and changes what is in memory between them.

One per host and event loop. A change of memory is a task of its own, so that it does not end with the caller
that happened to need it. It drains, unloads, waits until that is gone, and loads: requests never carry a
keep_alive, which would stop an Ollama for good (https://github.com/ollama/ollama/issues/17408).
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import final

from shoal.core.errors import EngineDown, ModelMissing, Overloaded, ShoalError
from shoal.serving.host import MemoryHost, Resident
from shoal.serving.lane import Lane
from shoal.serving.learnt import Learnt
from shoal.serving.learnt_capacity import LearntCapacity
from shoal.serving.lease import POLL_S, Lease
from shoal.serving.schedule import Schedule, Start, Switch
from shoal.serving.task import Load, Task

__all__ = ["Scheduler"]

FRESH_S = 1.0
"""What the host said of its memory holds for so long, where a change depends on it."""
log = logging.getLogger("shoal")


@final
class Scheduler:
    """The queues in front of one host, running."""

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        *,
        host: MemoryHost | None = None,
        learnt: Learnt | None = None,
        lease: Lease | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is asked here.

        Args:
            name: of the host, for messages.
            schedule: the policy; this becomes its only user.
            host: the memory that loads share; None = every load is always there.
            learnt: what loads cost.
            lease: the turns with other processes; None = nobody else uses the host.
            clock: seconds from any fixed point; never goes back.
        """
        self.name = name
        self.schedule = schedule
        self.host = host
        self.learnt = learnt or Learnt(None)
        self.capacity = LearntCapacity(name, schedule, self.learnt)
        self.clock = clock
        self.resident: Sequence[Resident] = ()
        """As last seen."""
        self.loads = 0
        """How often something was brought into memory."""
        self._lease = lease
        self._ready: dict[Task, asyncio.Future[None]] = {}
        self._swapped: dict[Load, tuple[float, float]] = {}
        """From when to when loads were brought in on which nothing has run yet."""
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._doubt: asyncio.Task[None] | None = None
        self._looked = -FRESH_S
        self._wanted_since: float | None = None

    @asynccontextmanager
    async def turn(self, task: Task) -> AsyncGenerator[None]:
        """Wait until the task may run; when the block ends, so has the task.

        Raises:
            Overloaded: too many wait for its load already.
            ShoalError: the load cannot be had.
        """
        await self._wait(task)
        try:
            yield
        finally:
            self.schedule.finish(task, self.clock())
            self._go_on()

    async def look(self, *, instead_of: Load | None = None) -> Sequence[Resident]:
        """Ask what is in memory now. `instead_of`: a load that is not brought in after all.

        Raises:
            ModelError: the host does not say.
        """
        if self.host is not None:
            self.resident = await self.host.resident()
            self._looked = self.clock()
            for each in self.resident:
                lane = self.schedule.lane(each.load)
                if each.size_bytes:
                    self.learnt.note(each.load, lane.costs, size_bytes=each.size_bytes)
            self.capacity.check(self.resident)
            if instead_of is not None:
                self.schedule.put_off(instead_of)
            self.schedule.observe(each.load for each in self.resident)
        return self.resident

    def doubt(self) -> None:
        """Something took as long as if its load had not been there: look again before relying on it."""
        if self.host is not None and (self._doubt is None or self._doubt.done()):
            self._doubt = asyncio.create_task(self._look_again())

    async def aclose(self) -> None:
        """End what is under way and let other processes have their turn. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        for work in (self._work, self._doubt):
            if work is not None:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
        if self._lease is not None:
            self._lease.close()
        await asyncio.to_thread(self.learnt.save)

    async def _wait(self, task: Task) -> None:
        if not self.schedule.add(task, self.clock()):
            raise self._full(self.schedule.lane(task.load))
        ready = self._ready[task] = asyncio.get_running_loop().create_future()
        try:
            self._go_on()
            await ready
        except BaseException:  # most often it was cancelled; a task that stayed would hold a slot for ever
            if self.schedule.cancel(task):
                del self._ready[task]
            elif ready.done() and not ready.cancelled() and ready.exception() is None:
                self.schedule.finish(task, self.clock())  # its turn came in this very moment
            self._go_on()
            raise

    def _go_on(self) -> None:
        """Do all that can be done now. All who wait hear of what stops it: nothing else would wake them."""
        try:
            self._do_all()
        except ShoalError as error:
            self._fail_all(error)
        except BaseException as defect:
            self._fail_all(EngineDown(f"the queue of {self.name} has stopped", why=repr(defect)))
            raise

    def _do_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.clock()
        while self.schedule.waiting:
            if not self._may_use(now):
                self._wake_in(POLL_S)
                return
            match self.schedule.next(now):
                case Start(task):
                    self._start(task)
                case Switch() as switch:
                    self._begin(switch)
                case None:
                    wake_at = self.schedule.wake_at(now)
                    if wake_at is not None:
                        self._wake_in(wake_at - now)
                    return
        if self._lease is not None and self._lease.is_held and not self.schedule.running:
            # Kept for a moment: the next task may be about to come, and others would change what is loaded.
            self._wake_in(max((lane.costs.load_s for lane in self.schedule.lanes), default=0.0), idle=True)

    def _start(self, task: Task) -> None:
        ready = self._ready.pop(task)
        began, ended = self._swapped.pop(task.load, (0.0, 0.0))
        task.swap_s = max(0.0, ended - max(began, task.arrived))
        if ready.cancelled():
            self.schedule.finish(task, self.clock())
        else:
            ready.set_result(None)

    def _wake_in(self, seconds: float, *, idle: bool = False) -> None:
        act = self._leave_host if idle else self._go_on
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def _leave_host(self) -> None:
        if self._lease is not None and not self.schedule.waiting and not self.schedule.running:
            self._lease.release()

    def _may_use(self, now: float) -> bool:
        """Whether this process has the turn, or gets it at once. Given up when others waited long enough."""
        lease = self._lease
        if lease is None or self._work is not None:
            return lease is None or not lease.is_giving_way
        if not lease.is_held:
            self._wanted_since, self._looked = None, -FRESH_S
            if lease.share():
                self.schedule.observe(())  # others may have changed it all: this has the next task look first
            return lease.is_held
        if not lease.is_wanted():
            self._wanted_since = None
            return True
        self._wanted_since = now if self._wanted_since is None else self._wanted_since
        if now < self._wanted_since + self.schedule.max_wait_s:
            return True
        if not self.schedule.running:
            lease.release()
        return False

    def _begin(self, switch: Switch) -> None:
        self._work = asyncio.create_task(self._change(switch))
        self._work.add_done_callback(self._worked)

    def _worked(self, work: asyncio.Task[None]) -> None:
        if self._work is work:  # a caller who came in this moment may have begun the next
            self._work = None
        if not work.cancelled():
            try:
                work.result()
            finally:  # also after a defect of ours, which the loop reports: those who wait must not hang
                self._go_on()

    async def _look_again(self) -> None:
        with suppress(ShoalError):  # the next load looks again, and fails those who wait for it
            await self.look()
        self._go_on()

    async def _change(self, switch: Switch) -> None:
        """Bring a load in. When it fails, so do those who wait for it; nobody else."""
        done = False
        try:
            if self.clock() >= self._looked + FRESH_S:
                await self.look(instead_of=switch.load)  # with what it says, the schedule decides again
            elif self._lease is None or (self.schedule.is_proven(switch.load) and not switch.unload):
                await self._swap(switch)
            else:
                async with self._lease.alone(is_idle=lambda: not self.schedule.running):
                    await self._swap_alone(switch)
            done = True
        except ShoalError as error:
            self._fail(self.schedule.loading or switch.load, error)
            done = True
        finally:
            if not done:
                self._fail(switch.load, EngineDown(f"loading {switch.load.model} was interrupted"))

    async def _swap_alone(self, switch: Switch) -> None:
        """Swap, after a look at what others have changed while this process waited for its turn."""
        await self.look(instead_of=switch.load)
        decided = self.schedule.next_switch(self.clock())
        if decided is not None:
            await self._swap(decided)

    async def _swap(self, switch: Switch) -> None:
        assert self.host is not None
        before, began = self.resident, self.clock()
        for load in switch.unload:
            with suppress(ModelMissing):  # deleted since: the engine drops it when it needs the room
                await self.host.unload(load)
        lane = self.schedule.lane(switch.load)
        emptied = self.clock()
        await self.host.load(switch.load)
        self.loads += 1
        self.learnt.note(switch.load, lane.costs, load_s=self.clock() - emptied)
        await self.look()
        self.capacity.learn(switch, before=before, after=self.resident, now=self.clock())
        self._warn_of_spill(switch.load)
        self._swapped[switch.load] = began, self.clock()
        self.schedule.loaded(switch.load, self.clock())
        await asyncio.to_thread(self.learnt.save)

    def _warn_of_spill(self, load: Load) -> None:
        for each in self.resident:
            if each.load == load and each.spilled:
                share = f"{each.spilled:.0%} of {load.model} does not fit the GPU"
                log.warning("%s; the CPU computes it, much more slowly", share)

    def _fail(self, load: Load, error: ShoalError) -> None:
        self._looked = -FRESH_S
        for task in self.schedule.failed(load):
            ready = self._ready.pop(task)
            if not ready.done():
                ready.set_exception(error)

    def _fail_all(self, error: ShoalError) -> None:
        if self._work is None:  # else those who wait for the load hear of it when that has ended
            for lane in self.schedule.lanes:
                self._fail(lane.load, error)

    def _full(self, lane: Lane) -> Overloaded:
        costs = lane.costs
        wait_s = costs.task_s / lane.parallel + (0.0 if lane.is_resident else costs.load_s)
        return Overloaded(
            f"the queue of {lane.load.model or self.name} is full",
            why=f"{lane.running} requests are in flight and {lane.waiting} wait",
            mend="send fewer requests at once, or raise max_queue in [serving] of shoal.toml",
            retry_after_s=wait_s,
        )
