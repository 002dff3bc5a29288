"""The tasks that wait for one load, and what runs on it. No I/O, no clock.

An engine answers as many calls at once as it has slots, and a slot remembers how its last prompt began: the
same beginning, an agent's instructions, need not be read again. So a group of tasks that begin alike keeps to
its slot, and two groups that are started side by side keep two slots. (Ollama 0.24 takes the free slot whose
prompt begins most like the new one: two agents that have never run side by side share one for ever.)
"""

from collections import deque
from collections.abc import Iterable
from typing import final

from shoal.serving.group import NEVER, Group, Key, Order, Rank
from shoal.serving.rhythm import Rhythm
from shoal.serving.task import Costs, Load, Task

__all__ = ["AMORTISE", "Lane", "Slot"]

AMORTISE = 6.0
"""A visit that somebody else wants to end goes on for this many times what it took to begin it, or for
`max_wait_s` if that is less. With more to do than can be done, 1 to 2 let the 99th percentile of the wait
grow three to nine times; from 6 on little changes (benchmarks/schedule_sim.py --constants)."""
LEFT = 32
"""Groups remembered that have lost their slot."""
LAST: Rank = (NEVER, 0)


@final
class Slot:
    """A place of the engine where one call runs at a time, and which remembers how its last prompt began."""

    __slots__ = ("began", "freed", "group", "since", "task")

    def __init__(self) -> None:
        self.group: Group | None = None
        """What the engine has read already; None = nothing."""
        self.since = -NEVER
        """When the group came here."""
        self.task: Task | None = None
        """What runs."""
        self.began = -NEVER
        """When its answer began, the reading done."""
        self.freed = -NEVER
        """When a task last ended here."""


@final
class Lane:
    """What waits for one load and what runs on it."""

    def __init__(self, load: Load, costs: Costs, rhythm: Rhythm, *, parallel: int, max_wait_s: float) -> None:
        self.load = load
        self.costs = costs
        self._rhythm = rhythm
        self.parallel = parallel
        """Tasks it may run side by side."""
        self.max_wait_s = max_wait_s
        self.waiting = 0
        self.running = 0
        self.is_pinned = False
        """It needs no memory here, so it is always there."""
        self.is_resident = False
        self.entered = -NEVER
        """When it was loaded."""
        self.used = -NEVER
        """When a task last began or ended."""
        self._groups: dict[Key, Group] = {}
        self._orders = {False: Order(max_wait_s), True: Order(max_wait_s)}
        self._slots: list[Slot] = []
        """As many as were ever needed at once; the engine has `parallel`."""
        self._places: dict[Task, Slot] = {}
        self._left: deque[Key] = deque(maxlen=LEFT)
        """Groups that had a slot since the load came in, and have it no longer."""

    @property
    def full(self) -> bool:
        return self.running >= self.parallel

    @property
    def is_batch(self) -> bool:
        """All that waits can wait."""
        return self._first(batch=False) is None

    @property
    def rank(self) -> Rank:
        return min(
            group.rank(self.max_wait_s) if (group := self._first(batch=batch)) else LAST
            for batch in self._orders
        )

    def overhead_s(self) -> float:
        """Loading and reading for each task that waits, were it loaded now."""
        return (self.costs.load_s + self.costs.prefix_s * len(self._groups)) / max(1, self.waiting)

    def has_worthwhile(self, overhead_s: float) -> bool:
        """Whether something waits that costs no more reading a task than `overhead_s`."""
        if any(slot.group is not None and slot.group.waiting for slot in self._slots):
            return True
        group = self._orders[False].first() or self._orders[True].first()
        if group is None or group.key not in self._left:
            return group is not None
        return self.costs.prefix_s <= overhead_s * group.waiting

    def quantum_s(self) -> float:
        """How long a visit lasts at least, if there is work."""
        return min(AMORTISE * self.costs.load_s, self.max_wait_s)

    def add(self, task: Task) -> None:
        group = self._groups.get((task.prefix, task.batch))
        if group is None:
            group = Group(task.prefix, batch=task.batch)
            self._groups[group.key] = group
        group.add(task)
        self.waiting += 1
        if not group.seats and (group.waiting == 1 or group.first() is task):
            self._orders[task.batch].push(group)

    def drop(self, task: Task) -> None:
        """A waiting task was cancelled; its `waits` is already False."""
        group = self._groups[task.prefix, task.batch]
        group.drop()
        self.waiting -= 1
        self._forget_if_empty(group)

    def pick(self, now: float, *, leaving: bool = False) -> tuple[Group, Slot] | None:
        """Whose task to start next, and in which slot; None = nothing before `wake_times`.

        What is due comes first, then what a slot has at hand, then a group without a slot. A slot is kept for
        a moment where callers usually come back at once. `leaving`: nothing new is read.
        """
        free = self._free()
        live, batch = self._first(batch=False), self._first(batch=True)
        if not free or (live is None and batch is None):
            return None
        first = min(filter(None, (live, batch)), key=self._rank)
        if self._rank(first)[0] <= now and (slot := self._slot_for_due(first, free, now)):
            return first, slot
        at_hand = [slot for slot in free if slot.group and slot.group.waiting]
        if live is not None:
            at_hand = [slot for slot in at_hand if slot.group and not slot.group.batch]
        if at_hand:
            slot = min(at_hand, key=lambda slot: self._rank(slot.group or first))
            return slot.group or first, slot
        if leaving:
            return None
        slot = min(free, key=_longest_unused)
        if slot.group is not None and now < slot.freed + self._rhythm.hold_s(self._reading_s):
            return None
        group = self._orders[live is None].first() or self._group_to_help(now, batch=live is None)
        return None if group is None else (group, slot)

    def wake_times(self) -> Iterable[float]:
        """When time alone may change what `pick` says."""
        free = [slot for slot in self._slots if slot.task is None]
        if not self.waiting or not free:
            return
        yield self.rank[0]
        for slot in self._slots:
            if slot.group is not None and slot.group.waiting:
                yield self._helped_from(slot.group)
        for slot in free:
            yield slot.freed + self._rhythm.hold_s(self._reading_s)
            yield slot.since + self._stay_s()

    def start(self, group: Group, slot: Slot, now: float) -> Task:
        """Run the first task of a group in a free slot, as `pick` said."""
        slot.began = now
        if slot.group is not group:
            self._unseat(slot)
            slot.group, slot.since, slot.began = group, now, now + self._reading_s
            group.seats += 1
        if self.max_wait_s > 0:
            group.served = now
        slot.task = task = group.pop()
        task.waits = False
        self._places[task] = slot
        self.waiting -= 1
        self.running += 1
        self.used = now
        return task

    def end(self, task: Task, now: float) -> None:
        """A started task has ended."""
        slot = self._places.pop(task)
        slot.task, slot.freed = None, now
        self.running -= 1
        self.used = now

    def forget_prompts(self) -> None:
        """The engine has read nothing any more: the load was taken out, or has just come in."""
        for slot in self._slots:
            self._unseat(slot)
        self._slots = [slot for slot in self._slots if slot.task is not None]
        self._left.clear()

    def drain(self) -> list[Task]:
        """Take out all that waits, in no order."""
        tasks = [task for group in self._groups.values() for task in group.tasks()]
        for task in tasks:
            task.waits = False
        self.waiting = 0
        self._groups.clear()
        self._orders = {batch: Order(self.max_wait_s) for batch in self._orders}
        for slot in self._slots:
            slot.group = None
        return tasks

    @property
    def _reading_s(self) -> float:
        """What a slot takes to read another beginning. Elsewhere that is not our concern."""
        return 0.0 if self.is_pinned else self.costs.prefix_s

    def _rank(self, group: Group) -> Rank:
        return group.rank(self.max_wait_s)

    def _first(self, *, batch: bool) -> Group | None:
        """The group whose turn it is, with a slot or without."""
        waiting = [slot.group for slot in self._slots if slot.group is not None]
        found = [group for group in waiting if group.waiting and group.batch == batch]
        unseated = self._orders[batch].first()
        if unseated is not None:
            found.append(unseated)
        return min(found, key=self._rank, default=None)

    def _free(self) -> list[Slot]:
        if len(self._slots) == self.running < self.parallel:
            self._slots.append(Slot())
        return [slot for slot in self._slots if slot.task is None]

    def _stay_s(self) -> float:
        """For how long a slot is left to one group at least, if there is work."""
        return min(AMORTISE * self._reading_s, self.max_wait_s)

    def _slot_for_due(self, group: Group, free: list[Slot], now: float) -> Slot | None:
        """The slot that has read its beginning, else one that has done its stint."""
        for slot in free:
            if slot.group is group:
                return slot
        open_to = [
            slot
            for slot in free
            if slot.group is None or not slot.group.waiting or now >= slot.since + self._stay_s()
        ]
        return min(open_to, key=_longest_unused, default=None)

    def _group_to_help(self, now: float, *, batch: bool) -> Group | None:
        """One whose tasks wait for busy slots, if there is more to do than to read its beginning again."""
        held = (slot.group for slot in self._slots if slot.group is not None)
        waiting = [group for group in held if group.waiting and group.batch == batch]
        group = max(waiting, key=lambda group: group.waiting / group.seats, default=None)
        return group if group is not None and now >= self._helped_from(group) else None

    def _helped_from(self, group: Group) -> float:
        """When a further slot pays for a group that waits. Tasks take what they usually do, or, where one has
        run for longer, at least as long as that one: what is known may be a guess, and a call may hang.
        """
        enough_s = group.seats * self._reading_s / group.waiting
        if self._rhythm.is_quicker(self._reading_s) or self.costs.task_s > enough_s:
            return -NEVER
        busy = (slot.began for slot in self._slots if slot.group is group and slot.task is not None)
        return min(busy, default=-NEVER) + enough_s

    def _unseat(self, slot: Slot) -> None:
        group, slot.group = slot.group, None
        if group is None:
            return
        group.seats -= 1
        if not group.seats and group.key not in self._left:
            self._left.append(group.key)
        if group.waiting and not group.seats and not group.listed:
            self._orders[group.batch].push(group)
        self._forget_if_empty(group)

    def _forget_if_empty(self, group: Group) -> None:
        if not group.waiting and not group.seats:
            self._groups.pop(group.key, None)


def _longest_unused(slot: Slot) -> tuple[bool, float]:
    return slot.group is not None, slot.freed
