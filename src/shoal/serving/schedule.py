"""Who runs next, and what is loaded for it. The policy alone: no I/O, no tasks, and time is passed in.

Work is kept by load, and in a load by how prompts begin. What is in memory is served until nothing waits for
it, or only what it would cost more to read now than later (below); then comes the load for which somebody has
waited longest, and those that can wait (`batch`) last. Nobody
waits for ever: once the first of a group has waited `max_wait_s`, measured from when it came or from when its
group was last served, it has the next turn. It then waits for the calls that are running and for its load;
and where several are due at once, for the load and a short visit of each that was due before. With
`max_wait_s` 0 the order is that of arrival.

A load, or the cached beginning of a prompt, that has just run out of work is kept for a moment when callers
usually come back at once (`rhythm`). An agent whose slot went to another one has it back in the same visit
only if reading its instructions costs no more a task than the next load would: the marginal value theorem
(Charnov, "Optimal foraging", 1976). For eight callers in turn over four agents and two models, with one slot,
that comes to within 2 to 8 % of the best order there is, for three engines (benchmarks/closed_loop.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from shoal.serving.group import NEVER, Group
from shoal.serving.lane import Lane, Slot
from shoal.serving.rhythm import Rhythm
from shoal.serving.task import Costs, Load, Task

__all__ = ["BATCH_PATIENCE", "Schedule", "Start", "Switch"]

BATCH_PATIENCE = 4.0
"""What `max_wait_s` is multiplied by for tasks that can wait."""


@dataclass(frozen=True, slots=True)
class Start:
    """Run this task now."""

    task: Task


@dataclass(frozen=True, slots=True)
class Switch:
    """Take these out of memory, none of which runs anything, then load this one."""

    load: Load
    unload: tuple[Load, ...]


@final
class Schedule:
    """The queues in front of one host: one memory, one set of processors.

    Ask `next` again and again after every change until it says None. A `Switch` is answered with `loaded` or
    `failed`; meanwhile what stays in memory goes on.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int | None = None,
        parallel: int | None = None,
        max_wait_s: float = 30.0,
        max_queue: int = 10_000,
    ) -> None:
        """Nothing waits and nothing is loaded.

        Args:
            capacity_bytes: memory for loads; None = all of them fit.
            parallel: tasks that may run at once over all loads; None = only each load's own limit holds.
            max_wait_s: see the module.
            max_queue: tasks that may wait for one load.
        """
        self.capacity_bytes = capacity_bytes
        self.max_wait_s = max_wait_s
        self.proven_bytes: int | None = None
        """Loads up to this size together are known to fit; None = whatever `capacity_bytes` allows does."""
        self.running = 0
        self._parallel = parallel
        self._max_queue = max_queue
        self._lanes: dict[Load, Lane] = {}
        self._rhythm = Rhythm()
        self._current: Lane | None = None
        self._loading: Lane | None = None
        self._number = 0

    def lane(
        self, load: Load, *, costs: Costs | None = None, parallel: int = 1, is_pinned: bool = False
    ) -> Lane:
        """The queue of a load, made at its first mention; all but `load` counts only then."""
        lane = self._lanes.get(load)
        if lane is None:
            lane = Lane(load, costs or Costs(), self._rhythm, parallel=parallel, max_wait_s=self.max_wait_s)
            lane.is_pinned = lane.is_resident = is_pinned
            self._lanes[load] = lane
        return lane

    @property
    def lanes(self) -> Iterable[Lane]:
        return self._lanes.values()

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self._lanes.values())

    @property
    def loading(self) -> Load | None:
        """What a switch is bringing in."""
        return None if self._loading is None else self._loading.load

    def add(self, task: Task, now: float) -> bool:
        """Queue a task; False = its queue is full, and it was not taken."""
        lane = self._lanes[task.load]
        if lane.running + lane.waiting >= lane.parallel + self._max_queue:
            return False
        self._number += 1
        task.number, task.arrived, task.waits = self._number, now, True
        task.due = now + self.max_wait_s * (BATCH_PATIENCE if task.batch else 1.0)
        if task.deadline is not None:
            task.due = min(task.due, self._due_by_deadline(task.deadline, lane.costs, now))
        self._rhythm.came(now)
        lane.add(task)
        return True

    def cancel(self, task: Task) -> bool:
        """Take a task out of its queue; False = it no longer waits there."""
        if not task.waits:
            return False
        task.waits = False
        self._lanes[task.load].drop(task)
        return True

    def next(self, now: float) -> Start | Switch | None:
        """What to do now; None = nothing until something changes, or until `wake_at`."""
        waiting = [lane for lane in self._lanes.values() if lane.waiting]
        if not waiting:
            return None
        leaving = NOBODY
        if self._loading is None:
            switch, leaving = self._plan_switch(now)
            if switch is not None:
                return switch
        elif not self.is_proven(self._loading.load):
            return None  # the host may want to empty what is busy, and would wait for ever
        if self._parallel is not None and self.running >= self._parallel:
            return None
        ready = [
            (lane, *picked)
            for lane in waiting
            if lane.is_resident and not lane.full and not (leaving.at_once and lane in leaving.lanes)
            if (picked := lane.pick(now, leaving=lane in leaving.lanes))
        ]
        return self._start(ready, now) if ready else None

    def next_switch(self, now: float) -> Switch | None:
        """As `next`, but starts nothing."""
        return self._plan_switch(now)[0] if self._loading is None else None

    def wake_at(self, now: float) -> float | None:
        """When time alone may change what `next` says; None = it does not."""
        times: list[float] = []
        absent = [lane for lane in self._lanes.values() if lane.waiting and not lane.is_resident]
        if absent and self._loading is None:
            times += [lane.rank[0] for lane in absent]
            for lane in self._lanes.values():
                if lane.is_resident:
                    times += [
                        lane.entered + lane.quantum_s(),
                        lane.used + self._rhythm.hold_s(lane.costs.load_s),
                    ]
        for lane in self._lanes.values():
            if lane.is_resident and lane.waiting:
                times += lane.wake_times()
        return min((time for time in times if now < time < NEVER), default=None)

    def finish(self, task: Task, now: float) -> None:
        """A started task has ended, well or not."""
        self._lanes[task.load].end(task, now)
        self.running -= 1
        self._rhythm.ended(now)

    def loaded(self, load: Load, now: float) -> None:
        """A switch is done."""
        lane = self._lanes[load]
        self._loading, self._current = None, lane
        lane.is_resident, lane.entered, lane.used = True, now, now
        lane.forget_prompts()

    def failed(self, load: Load) -> list[Task]:
        """A switch did not work out. What waited for the load waits no longer, and is given back."""
        self._loading = None
        return self._lanes[load].drain()

    def is_proven(self, load: Load) -> bool:
        """Whether it is known to fit beside what is there."""
        if self.proven_bytes is None:
            return True
        others = sum(lane.costs.size_bytes for lane in self._resident() if lane.load != load)
        return others + self._lanes[load].costs.size_bytes <= self.proven_bytes

    def put_off(self, load: Load) -> None:
        """A switch was not begun; `next` decides anew. To be followed by `observe`."""
        if self._loading is self._lanes[load]:
            self._loading = None

    def observe(self, resident: Iterable[Load]) -> None:
        """What is in memory, as the host says: the rest was taken out by somebody else."""
        there = frozenset(resident)
        for load, lane in self._lanes.items():
            lane.is_resident = lane.is_pinned or (load in there and lane is not self._loading)

    @staticmethod
    def _due_by_deadline(deadline: float, costs: Costs, now: float) -> float:
        """At half time at the latest: the last moment would leave none for the calls that have to end first,
        for others that are due as well, and for a load or an answer that takes longer than was guessed.
        """
        return max(now, min(deadline - costs.load_s - costs.task_s, now + (deadline - now) / 2))

    def _start(self, ready: list[tuple[Lane, Group, Slot]], now: float) -> Start:
        def rank(candidate: tuple[Lane, Group, Slot]) -> tuple[bool, bool, float, int]:
            lane = candidate[0]
            due, number = lane.rank
            is_early = due > now
            return is_early, is_early and lane is not self._current, due, number

        lane, group, slot = min(ready, key=rank) if len(ready) > 1 else ready[0]
        self.running += 1
        self._current = lane
        return Start(lane.start(group, slot, now))

    def _switch(self, lane: Lane, victims: list[Lane]) -> Switch:
        for victim in victims:
            victim.is_resident = False
            victim.forget_prompts()
        self._loading = lane
        return Switch(lane.load, tuple(victim.load for victim in victims))

    def _plan_switch(self, now: float) -> tuple[Switch | None, "Leaving"]:
        """The next change of memory if it can be made now, else the loads that are to run dry for it."""
        absent = [lane for lane in self._lanes.values() if lane.waiting and not lane.is_resident]
        for lane in self._in_turn(absent, now) if absent else ():
            victims = self._victims(lane, now)
            if victims is None:
                continue
            if any(victim.running for victim in victims):
                return None, Leaving(tuple(victims), at_once=lane.rank[0] <= now)
            return self._switch(lane, victims), NOBODY
        return None, NOBODY

    def _in_turn(self, absent: list[Lane], now: float) -> list[Lane]:
        ranks = {lane.load: lane.rank for lane in absent}
        ordered = sorted(absent, key=lambda lane: (lane.is_batch, ranks[lane.load]))
        soonest = min(absent, key=lambda lane: ranks[lane.load])
        first = ordered[0]
        # Not begun when it would have to be broken off for somebody who is due by then.
        if ranks[soonest.load][0] <= now + first.costs.load_s + first.quantum_s():
            ordered.remove(soonest)
            ordered.insert(0, soonest)
        return ordered

    def _victims(self, lane: Lane, now: float) -> list[Lane] | None:
        """What has to go so that this one fits; None = too much of it is still needed."""
        if self.capacity_bytes is None:
            return []
        resident = self._resident()
        missing = (
            lane.costs.size_bytes + sum(each.costs.size_bytes for each in resident) - self.capacity_bytes
        )
        victims: list[Lane] = []
        for each in sorted(resident, key=lambda each: (each.waiting > 0, each.running > 0, each.used)):
            if missing <= 0:
                break
            if self._can_leave(each, now, rival=lane):
                victims.append(each)
                missing -= each.costs.size_bytes
        # One that is larger than all the memory still gets it, alone.
        return victims if missing <= 0 or len(victims) == len(resident) else None

    def _resident(self) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.is_resident and not lane.is_pinned]

    def _can_leave(self, lane: Lane, now: float, *, rival: Lane) -> bool:
        if rival.rank[0] <= now:
            return not lane.waiting or (rival.rank < lane.rank and now >= lane.entered + lane.quantum_s())
        if now < lane.used + self._rhythm.hold_s(lane.costs.load_s):
            return False
        if lane.waiting:  # for a prompt that it would pay to read later, with more of its kind
            return rival.is_batch <= lane.is_batch and not lane.has_worthwhile(rival.overhead_s())
        return not lane.running


@dataclass(frozen=True, slots=True)
class Leaving:
    """Loads that make room for another one as soon as nothing runs on them."""

    lanes: tuple[Lane, ...] = ()
    at_once: bool = False
    """Nothing starts on them any more; else only what their slots have at hand."""


NOBODY = Leaving()
