"""How far a tuning is, how fast it should learn there, and how many steps fit into what is left. Pure.

The learning rate follows the schedule's own position from 0 to 1, not the step's number: whatever the clock
does to the number of steps, the position arrives at 1 with the last one and the rate at nothing.
"""

import math
from dataclasses import dataclass

__all__ = ["Schedule"]

WARM_UP = 0.04
"""Share of the schedule in which the rate rises; in the rest it falls along a cosine."""
TIMED_STEPS = 5
"""Steps before their time is believed."""
RECENT = 0.05
"""Weight of the last step in the running mean of their time."""


@dataclass(slots=True)
class Schedule:
    """State of one tuning; `state` and `Schedule(**state)` are its way to disk and back."""

    wanted: int
    """Steps that the passes ask for."""
    budget_s: float | None = None
    done: int = 0
    position: float = 0.0
    seconds: float = 0.0
    step_s: float | None = None
    """Running mean; None = not yet known."""

    @property
    def planned(self) -> int:
        """Steps in all, as far as can be told now; at least one more than done until the end."""
        if self.finished:
            return self.done
        if self.budget_s is None or self.step_s is None or self.done < TIMED_STEPS:
            return self.wanted
        fitting = max(1, math.floor((self.budget_s - self.seconds) / self.step_s))
        return min(self.wanted, self.done + fitting)

    @property
    def finished(self) -> bool:
        return self.position >= 1 - 1e-9 or self.done >= self.wanted

    @property
    def seconds_left(self) -> float:
        return (self.planned - self.done) * (self.step_s or 0.0)

    def rate(self) -> float:
        """Share of the highest learning rate that the next step learns at, in (0, 1]."""
        middle = self.position + self._stride() / 2
        if middle < WARM_UP:
            return middle / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (middle - WARM_UP) / (1 - WARM_UP))))

    def advance(self, seconds: float) -> None:
        """A step was taken in so many seconds."""
        self.position += self._stride()
        self.done += 1
        self.seconds += seconds
        self.step_s = seconds if self.step_s is None or self.done <= 2 else self._mean(seconds)

    def _stride(self) -> float:
        """What is left of the schedule, in equal parts for the steps that are left."""
        return (1 - self.position) / max(1, self.planned - self.done)

    def _mean(self, seconds: float) -> float:
        assert self.step_s is not None
        weight = max(RECENT, 1 / (self.done - 1))
        return self.step_s + weight * (seconds - self.step_s)
