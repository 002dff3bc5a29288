"""A schedule, and a host that does what it says on a clock of its own: time is a number."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from shoal.serving.schedule import Schedule, Start
from shoal.serving.task import Costs, Load, Task

ALL = tuple(Load(host="h", base=name) for name in "abc")
A, B, C = ALL
ONE = 10
"""Bytes of one load."""


def schedule_of(
    *,
    capacity: int | None = ONE,
    max_wait_s: float = 30.0,
    parallel: int = 1,
    load_s: float = 1.0,
    read_s: float = 0.2,
) -> Schedule:
    schedule = Schedule(capacity_bytes=capacity, max_wait_s=max_wait_s)
    for load in ALL:
        schedule.lane(load, costs=Costs(size_bytes=ONE, load_s=load_s, prefix_s=read_s), parallel=parallel)
    return schedule


@dataclass
class Host:
    """Runs what the schedule says, each call for as long as its task says, on a clock of its own."""

    schedule: Schedule
    task_s: float = 1.0
    load_s: float = 1.0
    read_s: float = 0.0
    """What a call takes longer in a slot whose last one began otherwise."""
    then: Iterator[tuple[Load, str]] = field(default_factory=lambda: iter(()))
    """What the callers ask next, each as soon as it has its answer."""
    think_s: float = 0.01
    now: float = 0.0
    order: list[Task] = field(default_factory=list[Task])
    began: dict[Task, float] = field(default_factory=dict[Task, float])
    loads: list[Load] = field(default_factory=list[Load])
    reads: int = 0
    slots: dict[Load, list[str]] = field(default_factory=dict[Load, list[str]])
    """What those that are free have read, the one used last at the end."""
    ends: list[tuple[float, "Task | Load | None"]] = field(
        default_factory=list[tuple[float, "Task | Load | None"]]
    )

    def add(
        self, load: Load, prefix: str = "", *, batch: bool = False, deadline: float | None = None
    ) -> Task:
        task = Task(load=load, prefix=prefix, batch=batch, deadline=deadline)
        assert self.schedule.add(task, self.now)
        return task

    def step(self) -> None:
        while (said := self.schedule.next(self.now)) is not None:
            if isinstance(said, Start):
                self.order.append(said.task)
                self.began[said.task] = self.now
                self.ends.append((self.now + self.task_s + self.read(said.task), said.task))
            else:
                self.loads.append(said.load)
                for load in said.unload:
                    self.slots.pop(load, None)
                self.ends.append((self.now + self.load_s, said.load))

    def read(self, task: Task) -> float:
        slots = self.slots.setdefault(task.load, [])
        if task.prefix in slots:
            slots.remove(str(task.prefix))
            return 0.0
        self.reads += 1
        if len(slots) + self.schedule.lane(task.load).running > self.schedule.lane(task.load).parallel:
            slots.pop(0)
        return self.read_s

    def run(self, until: float = 1e9) -> None:
        """Until nothing is left to do, or until then."""
        self.step()
        while True:
            wake = self.schedule.wake_at(self.now)
            times = [end[0] for end in self.ends] + ([] if wake is None else [wake])
            if not times or min(times) > until:
                self.now = until if until < 1e9 else self.now
                return
            self.now = min(times)
            for end in [end for end in self.ends if end[0] <= self.now]:
                self.ends.remove(end)
                self.end(end[1])
            self.step()

    def end(self, what: Task | Load | None) -> None:
        match what:
            case Task():
                self.schedule.finish(what, self.now)
                self.slots.setdefault(what.load, []).append(str(what.prefix))
                self.ends.append((self.now + self.think_s, None))
            case Load():
                self.schedule.loaded(what, self.now)
            case None:
                for load, prefix in islice(self.then, 1):
                    self.add(load, prefix)
