"""Tasks of one load that begin alike, and the order in which such groups have their turn. No I/O, no clock.

Every operation costs at most the logarithm of what waits: groups and tasks stand in heaps whose stale entries
are dropped when they come to the top, or all at once when they are the most.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from typing import final

from shoal.serving.task import Task

__all__ = ["NEVER", "Group", "Key", "Order", "Rank"]

NEVER = float("inf")
FEW = 32
"""Stale entries that are not worth clearing."""

Rank = tuple[float, int]
"""When something is due, then its number: the smaller one comes first."""
Key = tuple[Hashable, bool]
"""How the prompts of a group begin, and whether they can wait."""


@final
class Group:
    """Tasks that begin alike, the one due first in front."""

    __slots__ = ("_heap", "batch", "key", "listed", "seats", "served", "waiting")

    def __init__(self, prefix: Hashable, *, batch: bool) -> None:
        self.key: Key = (prefix, batch)
        self.batch = batch
        self.served = -NEVER
        """When one of its tasks last began."""
        self.waiting = 0
        self.seats = 0
        """Slots whose last prompt began like this."""
        self.listed = 0
        """How often it stands in the order of those without a slot."""
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
class Order:
    """Groups without a slot, by rank. It grows while a group waits, unless a task with a deadline comes."""

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._heap: list[tuple[float, int, Group]] = []

    def push(self, group: Group) -> None:
        due, number = group.rank(self._max_wait_s)
        heappush(self._heap, (due, number, group))
        group.listed += 1

    def first(self) -> Group | None:
        heap = self._heap
        while heap:
            due, number, group = heap[0]
            if group.seats or not group.waiting:
                heappop(heap)
                group.listed -= 1
                continue
            rank = group.rank(self._max_wait_s)
            if rank <= (due, number):
                return group
            heapreplace(heap, (*rank, group))
        return None
