"""Carrying out what the schedule says, where the order of callbacks matters."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shoal.core.errors import ModelMissing, StorageError
from shoal.core.port import ChatModel
from shoal.serving.host import Resident
from shoal.serving.lease import POLL_S, Lease
from shoal.serving.schedule import Schedule
from shoal.serving.scheduler import Scheduler
from shoal.serving.task import Costs, Load, Task

LOAD = Load(host="host", base="a", model="a", num_ctx=512)
OTHER = Load(host="host", base="b", model="b", num_ctx=512)


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


@dataclass
class Memory:
    """Of a host, as several processes see it."""

    there: list[Load] = field(default_factory=list[Load])
    deleted: set[Load] = field(default_factory=set[Load])
    """Models that are in memory and no longer on the disk."""

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        raise NotImplementedError

    async def resident(self) -> Sequence[Resident]:
        return [Resident(load=load, size_bytes=1) for load in self.there]

    async def load(self, load: Load) -> None:
        self.there.append(load)

    async def unload(self, load: Load) -> None:
        if load in self.deleted:
            raise ModelMissing(f'Ollama has no model "{load.model}"')
        self.there.remove(load)


def scheduler_of(memory: Memory, lease: Lease | None = None, *, fit: int = 1) -> Scheduler:
    """In which so many loads fit."""
    schedule = Schedule(capacity_bytes=fit)
    schedule.proven_bytes = 0
    for load in (LOAD, OTHER):
        schedule.lane(load, costs=Costs(size_bytes=1, load_s=0.001))
    return Scheduler("host", schedule, host=memory, lease=lease)


async def what_is_there(scheduler: Scheduler, load: Load) -> list[Load]:
    """While a task for the load runs."""
    async with asyncio.timeout(10), scheduler.turn(Task(load=load)):
        return list(scheduler.host.there) if isinstance(scheduler.host, Memory) else []


async def test_what_others_took_out_during_their_turn_is_brought_back_before_anything_runs(
    tmp_path: Path,
) -> None:
    memory, lease = Memory(), Lease(tmp_path, "host")
    one, other = scheduler_of(memory, lease), scheduler_of(memory, Lease(tmp_path, "host"))
    assert await what_is_there(one, LOAD) == [LOAD]
    while lease.is_held:
        await asyncio.sleep(0.001)
    assert await what_is_there(other, OTHER) == [OTHER]
    assert await what_is_there(one, LOAD) == [LOAD]
    await one.aclose()
    await other.aclose()


async def test_what_runs_keeps_its_load_while_its_process_waits_to_bring_in_another(tmp_path: Path) -> None:
    memory, lease = Memory(), Lease(tmp_path, "host")
    one = scheduler_of(memory, lease, fit=2)
    other = scheduler_of(memory, Lease(tmp_path, "host"))
    async with asyncio.timeout(10), one.turn(Task(load=LOAD)):
        before = asyncio.create_task(what_is_there(other, OTHER))
        while not lease.is_wanted():
            await asyncio.sleep(0.001)
        after = asyncio.create_task(what_is_there(one, OTHER))
        while not lease.is_giving_way:
            await asyncio.sleep(0.001)
        await asyncio.sleep(5 * POLL_S)
        assert memory.there == [LOAD]
    async with asyncio.timeout(10):
        assert await before == [OTHER]
        assert OTHER in await after
    await one.aclose()
    await other.aclose()


async def test_a_victim_that_was_deleted_does_not_keep_others_out() -> None:
    memory = Memory()
    scheduler = scheduler_of(memory)
    await what_is_there(scheduler, LOAD)
    memory.deleted.add(LOAD)
    assert OTHER in await what_is_there(scheduler, OTHER)
    await scheduler.aclose()


def close_behind_its_back(path: Path) -> None:
    """From now on the kernel refuses to lock it, as on a file system without locks."""
    for file in range(3, 1024):
        with suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                os.close(file)


async def test_a_turn_that_cannot_be_had_fails_its_task_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lease = Lease(tmp_path, "host")
    scheduler = scheduler_of(Memory(), lease)
    assert lease.share()
    lease.release()
    for path in tmp_path.iterdir():
        close_behind_its_back(path)
    for _ in range(2):
        with pytest.raises(StorageError):
            await what_is_there(scheduler, LOAD)
        assert (scheduler.schedule.waiting, scheduler.schedule.running) == (0, 0)


async def test_those_who_wait_hear_of_it_when_the_turn_cannot_be_tried_again(tmp_path: Path) -> None:
    memory = Memory()
    scheduler = scheduler_of(memory, Lease(tmp_path, "host"))
    changing = Lease(tmp_path, "host").alone()
    await changing.__aenter__()
    calls = [asyncio.create_task(what_is_there(scheduler, load)) for load in (LOAD, OTHER)]
    await asyncio.sleep(0)
    assert scheduler.schedule.waiting == 2
    for path in tmp_path.iterdir():
        close_behind_its_back(path)
    async with asyncio.timeout(10):
        endings = await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(StorageError):  # its files are closed as well
        await changing.__aexit__(None, None, None)
    assert [type(ending) for ending in endings] == [StorageError] * 2
    assert scheduler.schedule.waiting == 0
