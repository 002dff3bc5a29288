"""What is learnt of the room that a host has: from whom, for how long, and what overrules it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx

from shoal.core.port import ChatModel
from shoal.serving.host import Resident
from shoal.serving.learnt import LIMIT_S, Learnt
from shoal.serving.schedule import Schedule
from shoal.serving.scheduler import Scheduler
from shoal.serving.schedulers import Limits, Schedulers
from shoal.serving.task import Costs, Load, Task

URL = "http://127.0.0.1:11434"
A, B, BIG = LOADS = [Load(host=URL, base=name, model=name, num_ctx=512) for name in ("a", "b", "big")]
SIZES = {A: 4, B: 4, BIG: 50}
MACHINE = 80


class Memory:
    """In which `expired` go when something else comes, as when their time had run out just then."""

    def __init__(self) -> None:
        self.there: list[Load] = []
        self.expired: list[Load] = []

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        raise NotImplementedError

    async def resident(self) -> Sequence[Resident]:
        return [Resident(load=load, size_bytes=SIZES[load]) for load in self.there]

    async def load(self, load: Load) -> None:
        self.there = [each for each in self.there if each not in self.expired] + [load]

    async def unload(self, load: Load) -> None:
        self.there.remove(load)


class Bench:
    """A scheduler that has learnt that two of its loads do not fit together, on a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "learnt.json"
        self.now = 1e9
        self.memory = Memory()
        schedule = Schedule(capacity_bytes=MACHINE)
        schedule.proven_bytes = 0
        for load, size in SIZES.items():
            schedule.lane(load, costs=Costs(size_bytes=size, load_s=0.001))
        learnt = Learnt(self.path, clock=lambda: self.now)
        self.scheduler = Scheduler(URL, schedule, host=self.memory, learnt=learnt)

    async def learn(self) -> None:
        self.memory.expired = [A]
        await self.run(A)
        await self.run(B)
        self.memory.expired = []

    async def run(self, load: Load) -> None:
        async with asyncio.timeout(10), self.scheduler.turn(Task(load=load)):
            pass

    @property
    def capacity(self) -> int | None:
        return self.scheduler.schedule.capacity_bytes


async def test_two_of_which_one_went_are_taken_not_to_fit_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.learn()
    assert bench.capacity == bench.scheduler.capacity.learnt_bytes == SIZES[A] + SIZES[B] - 1
    await bench.run(A)
    assert bench.memory.there == [A], "B made room"
    await bench.scheduler.aclose()


async def test_after_a_day_it_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.learn()
    bench.now += LIMIT_S
    await bench.scheduler.look()
    assert bench.capacity == MACHINE
    assert bench.scheduler.capacity.learnt_bytes is None
    await bench.run(A)
    assert bench.memory.there == [B, A]
    await bench.scheduler.aclose()


async def test_more_in_memory_at_once_refutes_it_and_one_that_is_large_does_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.learn()
    await bench.run(BIG)
    assert bench.memory.there == [BIG]
    assert bench.capacity == SIZES[A] + SIZES[B] - 1, "the host may count its models, not their bytes"
    bench.memory.there = [A, B]
    await bench.scheduler.look()
    assert bench.capacity == MACHINE
    await bench.scheduler.aclose()
    assert Learnt(bench.path, clock=lambda: bench.now).limits(URL) == (None, SIZES[BIG])


async def test_it_outlives_the_process_but_does_not_overrule_the_settings(tmp_path: Path) -> None:
    learnt = Learnt(tmp_path / "learnt.json")
    learnt.note_limit(URL, 7)
    learnt.save()
    async with httpx.AsyncClient() as client:
        told = Schedulers(Limits(memory_gb=48.0), tmp_path).ollama(URL, client, parallel=1, is_here=True)
        untold = Schedulers(Limits(), tmp_path).ollama(URL, client, parallel=1, is_here=True)
    assert told.schedule.capacity_bytes == 48_000_000_000
    assert untold.schedule.capacity_bytes == 7


def test_one_that_was_written_without_a_date_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "learnt.json").write_text(f'{{"hosts": {{"{URL}": {{"too_many": 7, "fits": 4}}}}}}')
    assert Learnt(tmp_path / "learnt.json").limits(URL) == (None, 4)
