"""How many bytes of loads a host takes together, as it was seen to, where nobody has said.

A host may have less room than its machine, or allow fewer models (`OLLAMA_MAX_LOADED_MODELS`), and tells
neither. A load that goes while another one comes, though it was used lately and nobody asked for it, shows
it. But its time may also have run out, or somebody may have stopped it: so what was seen holds for a day, or
until more is seen in memory; and what the settings say is never doubted.
"""

from collections.abc import Sequence
from typing import final

from shoal.serving.host import Resident
from shoal.serving.learnt import Learnt
from shoal.serving.schedule import Schedule, Switch

__all__ = ["LearntCapacity"]

USED_LATELY_S = 200.0
"""A load used within this time was not taken out for want of use: Ollama's default is 300 s."""


@final
class LearntCapacity:
    """Keeps `capacity_bytes` and `proven_bytes` of one schedule, if it has a `proven_bytes` at all."""

    def __init__(self, host: str, schedule: Schedule, learnt: Learnt) -> None:
        """Nothing is read here; the schedule's `capacity_bytes` is what it has where nothing is learnt."""
        self._host = host
        self._schedule = schedule
        self._learnt = learnt
        self._found_bytes = schedule.capacity_bytes
        self.is_given = False
        """The settings say how much there is."""

    @property
    def learnt_bytes(self) -> int | None:
        """What is relied on because it was seen; None = what the settings or the machine say holds."""
        capacity = self._schedule.capacity_bytes
        return None if capacity == self._found_bytes else capacity

    def recall(self) -> None:
        """Take over what was learnt, by other processes too."""
        schedule = self._schedule
        if schedule.proven_bytes is None:
            return
        limit, fits = self._learnt.limits(self._host)
        schedule.proven_bytes = max(fits or 0, schedule.proven_bytes)
        schedule.capacity_bytes = self._found_bytes
        if limit is not None and not self.is_given:
            schedule.capacity_bytes = min(limit, self._found_bytes or limit)

    def check(self, resident: Sequence[Resident]) -> None:
        """Hold what was learnt against what is in memory now."""
        self.recall()
        limit = self.learnt_bytes
        # One alone says nothing: a host that counts models takes a large one where two small ones do not go.
        if limit is not None and len(resident) > 1 and sum(each.size_bytes for each in resident) > limit:
            self._learnt.note_limit(self._host, None)
            self.recall()

    def learn(
        self, switch: Switch, *, before: Sequence[Resident], after: Sequence[Resident], now: float
    ) -> None:
        """Where a load drove another one out unasked, the two need more than there is."""
        schedule = self._schedule
        if schedule.proven_bytes is None:
            return
        there = {each.load for each in after}
        fits = sum(schedule.lane(load).costs.size_bytes for load in there)
        gone = [each.load for each in before if each.load not in there and each.load not in switch.unload]
        lost = [lane for load in gone if (lane := schedule.lane(load)).used > now - USED_LATELY_S]
        self._learnt.note_fits(self._host, max(fits, schedule.proven_bytes))
        too_many = fits + sum(lane.costs.size_bytes for lane in lost)
        known = schedule.capacity_bytes
        if lost and not self.is_given and (known is None or too_many <= known):
            self._learnt.note_limit(self._host, too_many - 1)
        self.recall()
