"""Carrying out what the schedule says, where the order of callbacks matters."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from shoal.core.port import ChatModel
from shoal.serving.host import Resident
from shoal.serving.lease import Lease
from shoal.serving.schedule import Schedule
from shoal.serving.scheduler import Scheduler
from shoal.serving.task import Costs, Load, Task

LOAD = Load(host="host", base="a", model="a", num_ctx=512)


class SlowHost:
    """Says what it holds when it is let; another process tries for the turn while it loads."""

    def __init__(self, other: Lease) -> None:
        self.asked, self.answer, self.loading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.came_in: list[bool] = []
        self._other = other
        self._loads: list[Load] = []

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        raise NotImplementedError

    async def resident(self) -> Sequence[Resident]:
        self.asked.set()
        await self.answer.wait()
        return [Resident(load=load, size_bytes=1, gpu_bytes=0) for load in self._loads]

    async def load(self, load: Load) -> None:
        self.loading.set()
        for _ in range(5):
            await asyncio.sleep(0)
            self.came_in.append(self._other.share())
        self._loads.append(load)

    async def unload(self, load: Load) -> None:
        self._loads.remove(load)


async def test_nobody_comes_in_while_a_load_changes_however_callers_arrive(tmp_path: Path) -> None:
    lease, other = Lease(tmp_path, "host"), Lease(tmp_path, "host")
    host = SlowHost(other)
    schedule = Schedule(parallel=2)
    schedule.proven_bytes = 0  # what fits is not known: a load is brought in alone
    schedule.lane(LOAD, costs=Costs(size_bytes=1), parallel=2)
    scheduler = Scheduler("host", schedule, host=host, lease=lease)
    now, later = asyncio.Event(), asyncio.Event()
    now.set()

    async def call(after: asyncio.Event) -> None:
        await after.wait()
        async with scheduler.turn(Task(load=LOAD)):
            pass

    calls = [asyncio.create_task(call(after)) for after in (now, later, host.loading)]
    await host.asked.wait()
    host.answer.set()
    later.set()  # the second caller wakes after the look has ended, and before its end is noted
    await asyncio.gather(*calls)

    assert host.came_in == [False] * 5
    await scheduler.aclose()
    other.close()
