"""Joules of a tuning that was interrupted, and of a machine that cannot tell."""

from shoal.tracing.record import EnergyMethod
from shoal.training.energy_used import EnergyUsed


class Counter:
    method: EnergyMethod = "rapl"

    def __init__(self, *readings: float | None) -> None:
        self._readings = iter(readings)

    def read_j(self) -> float | None:
        return next(self._readings)


def test_what_was_used_before_and_in_every_step_adds_up() -> None:
    used = EnergyUsed(Counter(100.0, 130.0, 135.0), so_far_j=7.0)
    used.update()
    used.update()
    assert used.joules == 42.0


def test_unknown_stays_unknown() -> None:
    nobody = EnergyUsed(None)
    nobody.update()
    lost = EnergyUsed(Counter(100.0, None, 200.0))
    lost.update()
    lost.update()
    partly = EnergyUsed(Counter(100.0, 200.0), so_far_j=None)
    partly.update()
    assert (nobody.joules, lost.joules, partly.joules) == (None, None, None)
