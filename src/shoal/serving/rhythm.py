"""Whether callers come back at once when their calls end. No I/O, no clock.

A program that keeps so many calls in flight hands in the next one when one has ended. What waits then says
little about what is to come: before the memory or the cached beginning of a prompt is given up, it pays to
wait for that next call, if it usually comes soon. Renting or buying (Karlin et al., "Competitive snoopy
caching", 1988): never for longer than the change would take.
"""

from collections import deque
from statistics import median
from typing import final

__all__ = ["PATIENCE", "Rhythm"]

NEVER = float("inf")
PATIENCE = 3.0
"""How long the next call is waited for, in times of what it usually takes to come."""
REMEMBERED = 7
"""Gaps whose median counts: a pause now and then changes nothing."""


@final
class Rhythm:
    """Ends of calls, each open until a call comes that may be its caller's next one."""

    def __init__(self) -> None:
        self._gaps_s: deque[float] = deque(maxlen=REMEMBERED)
        self._open: deque[float] = deque(maxlen=64)
        self._usual_s = NEVER

    def ended(self, now: float) -> None:
        self._open.append(now)

    def came(self, now: float) -> None:
        if not self._open:
            return
        while len(self._open) > 1 and self._open[0] < now - PATIENCE * self._usual_s:
            self._open.popleft()
        self._gaps_s.append(now - self._open.popleft())
        self._usual_s = median(self._gaps_s)

    def is_quicker(self, than_s: float) -> bool:
        """Callers usually come back so soon that waiting for them beats a change that takes this long."""
        return PATIENCE * self._usual_s <= than_s

    def hold_s(self, change_s: float) -> float:
        """How long to leave things as they are after an end, where a change takes so long; 0 = not at all."""
        return PATIENCE * self._usual_s if self._open and self.is_quicker(change_s) else 0.0
