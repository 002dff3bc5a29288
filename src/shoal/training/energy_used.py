"""Energy of the device a tuning runs on, read from its hardware counter, other programs and idle included."""

from shoal.tracing.energy import EnergyCounter
from shoal.tracing.energy_counter import NvmlCounter, RaplCounter

__all__ = ["EnergyUsed", "find_counter"]


class EnergyUsed:
    """Joules over several stretches of work; None once there is, or was, nothing to read it from."""

    def __init__(self, counter: EnergyCounter | None, *, so_far_j: float | None = 0.0) -> None:
        """`so_far_j`: of stretches before this process."""
        self._counter = counter
        self._last = None if counter is None else counter.read_j()
        self.joules = None if self._last is None else so_far_j

    def update(self) -> None:
        """Count what was used since the last time. Counters wrap after an hour or so: call it every step."""
        now = None if self._counter is None else self._counter.read_j()
        if now is None or self._last is None or self.joules is None:
            self.joules = None
        else:
            self.joules += now - self._last
        self._last = now


def find_counter(*, on_card: bool) -> EnergyCounter | None:
    """The graphics cards' counter, or the processor's. None = this machine has none that may be read."""
    return NvmlCounter.find() if on_card else RaplCounter.find()
