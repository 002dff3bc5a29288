"""The tasks that wait for one load, in groups with the same beginning of the prompt. No I/O, no clock.

Every operation costs at most the logarithm of what waits: groups and tasks stand in heaps whose stale entries
are dropped when they come to the top, or all at once when they are the most.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from typing import final

from shoal.serving.task import Costs, Load, Task

__all__ = ["AMORTISE", "NEVER", "Lane", "Rank"]

NEVER = float("inf")
AMORTISE = 6.0
"""A visit that somebody else wants to end goes on for this many times what it took to begin it, or for
`max_wait_s` if that is less. With more to do than can be done, 1 to 2 let the 99th percentile of the wait
grow three to nine times; from 6 on little changes (benchmarks/schedule_sim.py --constants)."""
FEW = 32
"""Stale entries that are not worth clearing."""

Rank = tuple[float, int]
"""When something is due, then its number: the smaller one comes first."""
LAST: Rank = (NEVER, 0)


@final
class Group:
    """Tasks that begin alike, the one due first in front."""

    __slots__ = ("_heap", "batch", "prefix", "served", "waiting")

    def __init__(self, prefix: Hashable, *, batch: bool) -> None:
        self.prefix = prefix
        self.batch = batch
        self.served = -NEVER
        """When one of its tasks last began."""
        self.waiting = 0
        self._heap: list[tuple[float, int, Task]] = []

    def __lt__(self, other: object) -> bool:
        return False  # a group may stand in a heap twice with the same rank

    def add(self, task: Task) -> None:
        self.waiting += 1
        heappush(self._heap, (task.due, task.number, task))

    def first(self) -> Task:
        heap = self._heap
        while not heap[0][2].waits:
            heappop(heap)
        return heap[0][2]

    def pop(self) -> Task:
        task = self.first()
        heappop(self._heap)
        self.waiting -= 1
        return task

    def tasks(self) -> list[Task]:
        return [entry[2] for entry in self._heap if entry[2].waits]

    def drop(self) -> None:
        """One of its tasks waits no longer."""
        self.waiting -= 1
        if len(self._heap) > FEW and self.waiting * 2 < len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].waits]
            heapify(self._heap)

    def rank(self, max_wait_s: float) -> Rank:
        """When its first task is due: as promised at arrival, or that long after the group was served."""
        task = self.first()
        if task.due < task.arrived + max_wait_s:  # by its deadline
            return task.due, task.number
        return max(task.due, self.served + max_wait_s), task.number


@final
class _Order:
    """Groups by rank. A rank only grows while a group waits, unless a task with a deadline comes."""

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._heap: list[tuple[float, int, Group]] = []

    def push(self, group: Group) -> None:
        due, number = group.rank(self._max_wait_s)
        heappush(self._heap, (due, number, group))

    def first(self) -> Group | None:
        heap = self._heap
        while heap:
            due, number, group = heap[0]
            if not group.waiting:
                heappop(heap)
                continue
            rank = group.rank(self._max_wait_s)
            if rank <= (due, number):
                return group
            heapreplace(heap, (*rank, group))
        return None


@final
class Lane:
    """What waits for one load and what runs on it."""

    def __init__(self, load: Load, costs: Costs, *, parallel: int, max_wait_s: float) -> None:
        self.load = load
        self.costs = costs
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
        self.idle_since: float | None = None
        self.gap_s = NEVER
        """How long it usually is without work until the next task comes; a moving average."""
        self._groups: dict[tuple[Hashable, bool], Group] = {}
        self._orders = {False: _Order(max_wait_s), True: _Order(max_wait_s)}
        self._current: Group | None = None
        self._since = -NEVER
        """When the current group became it."""

    @property
    def full(self) -> bool:
        return self.running >= self.parallel

    @property
    def is_batch(self) -> bool:
        """All that waits can wait."""
        return self._orders[False].first() is None

    @property
    def rank(self) -> Rank:
        return min(
            group.rank(self.max_wait_s) if (group := order.first()) else LAST
            for order in self._orders.values()
        )

    def quantum_s(self) -> float:
        """How long a visit lasts at least, if there is work."""
        return min(AMORTISE * self.costs.load_s, self.max_wait_s)

    def add(self, task: Task) -> None:
        key = (task.prefix, task.batch)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(task.prefix, batch=task.batch)
        group.add(task)
        self.waiting += 1
        if group.waiting == 1 or group.first() is task:
            self._orders[task.batch].push(group)

    def drop(self, task: Task) -> None:
        """A waiting task was cancelled; its `waits` is already False."""
        key = (task.prefix, task.batch)
        group = self._groups[key]
        group.drop()
        self.waiting -= 1
        self._forget_if_empty(key, group)

    def pop(self, now: float) -> Task:
        """The task to run next; there must be one."""
        group = self._pick(now)
        if group is not self._current:
            self.leave()
            self._current, self._since = group, now
        if self.max_wait_s > 0:
            group.served = now
        task = group.pop()
        task.waits = False
        self.waiting -= 1
        self._forget_if_empty((task.prefix, task.batch), group)
        return task

    def leave(self) -> None:
        """Another group, or another load, has the turn."""
        group, self._current = self._current, None
        if group is not None:
            self._forget_if_empty((group.prefix, group.batch), group)

    def drain(self) -> list[Task]:
        """Take out all that waits, in no order."""
        tasks = [task for group in self._groups.values() for task in group.tasks()]
        for task in tasks:
            task.waits = False
        self.waiting, self._current = 0, None
        self._groups.clear()
        self._orders = {batch: _Order(self.max_wait_s) for batch in self._orders}
        return tasks

    def _pick(self, now: float) -> Group:
        live, batch = self._orders[False].first(), self._orders[True].first()
        first = min(filter(None, (live, batch)), key=lambda group: group.rank(self.max_wait_s))
        current = self._current
        if current is None or not current.waiting:
            is_due = first.rank(self.max_wait_s)[0] <= now
            return first if is_due else live or first
        quantum_s = min(AMORTISE * self.costs.prefix_s, self.max_wait_s)
        if first.rank(self.max_wait_s)[0] <= now and now >= self._since + quantum_s:
            return first
        return live if current.batch and live is not None else current

    def _forget_if_empty(self, key: tuple[Hashable, bool], group: Group) -> None:
        if not group.waiting and group is not self._current:
            del self._groups[key]
