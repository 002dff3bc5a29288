"""Energy with a clock and a counter that stand still until they are moved."""

import os
from typing import final

import pytest

from shoal.core.errors import ConfigError
from shoal.tracing.energy import CounterMeter, EstimateMeter, Power
from shoal.tracing.record import EnergyMethod

POWER = Power(tdp_w=65, idle_w=15, cores=4)


@final
class Machine:
    """A clock and a counter: 10 W doing nothing, and what is said while time passes."""

    method: EnergyMethod = "rapl"

    def __init__(self) -> None:
        self.now = 100.0
        self.joules = 5_000.0
        self.is_readable = True

    def clock(self) -> float:
        return self.now

    def read_j(self) -> float | None:
        return self.joules if self.is_readable else None

    def passes(self, seconds: float, *, watts: float = 10.0) -> None:
        self.now += seconds
        self.joules += watts * seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_estimate_of_one_call(machine: Machine) -> None:
    meter = EstimateMeter(POWER, clock=machine.clock)

    window = meter.begin()
    machine.passes(10)
    energy = meter.end(window, busy_s=4.0)

    assert (energy.method, energy.busy_s, energy.share) == ("estimate", 4.0, 1.0)
    assert energy.joules == pytest.approx(4 * 50)
    assert energy.formula == "estimate: 4 s x share 1 x (65 - 15) W x 4/4 cores"


def test_estimate_counts_the_cores_the_engine_uses(machine: Machine) -> None:
    meter = EstimateMeter(Power(tdp_w=65, idle_w=15, cores=4, busy_cores=1), clock=machine.clock)

    window = meter.begin()
    machine.passes(10)

    assert meter.end(window, busy_s=4.0).joules == pytest.approx(4 * 50 / 4)


def test_busy_seconds_unknown_are_all_seconds_and_never_more(machine: Machine) -> None:
    meter = EstimateMeter(POWER, clock=machine.clock)

    first, second = meter.begin(), meter.begin()
    machine.passes(2)

    assert meter.end(first, busy_s=None).busy_s == 2.0
    assert meter.end(second, busy_s=99.0).busy_s == 2.0


def test_calls_at_the_same_time_share(machine: Machine) -> None:
    """First alone for 2 s, then both for 2 s, then the second alone for 2 s: 3 of 4 s each."""
    meter = EstimateMeter(POWER, clock=machine.clock)

    first = meter.begin()
    machine.passes(2)
    second = meter.begin()
    machine.passes(2)
    one = meter.end(first, busy_s=None)
    machine.passes(2)
    two = meter.end(second, busy_s=None)

    assert (one.share, two.share) == (0.75, 0.75)
    assert (one.joules or 0) + (two.joules or 0) == pytest.approx(6 * 50)


def test_calls_that_wait_take_nothing(machine: Machine) -> None:
    """An engine with one slot and ten calls of 1 s: each took one second of the machine."""
    meter = EstimateMeter(POWER, slots=1, clock=machine.clock)

    windows = [meter.begin() for _ in range(10)]
    joules: list[float | None] = []
    for window in windows:
        machine.passes(1)
        joules.append(meter.end(window, busy_s=1.0).joules)

    assert joules == [pytest.approx(50.0)] * 10


def test_counter_less_a_given_idle(machine: Machine) -> None:
    meter = CounterMeter(machine, idle_w=10, clock=machine.clock)

    machine.passes(100)
    window = meter.begin()
    machine.passes(4, watts=60)
    energy = meter.end(window, busy_s=None)

    assert (energy.method, energy.share) == ("rapl", 1.0)
    assert energy.joules == pytest.approx(4 * 50)
    assert energy.formula == "rapl counter over 4 s, share 1, idle 10 W subtracted"


def test_counter_learns_idle_from_pauses(machine: Machine) -> None:
    meter = CounterMeter(machine, clock=machine.clock)

    first = meter.begin()
    machine.passes(1, watts=60)
    unknown = meter.end(first, busy_s=None)
    machine.passes(5, watts=12)  # still cooling down
    meter.end(meter.begin(), busy_s=None)
    machine.passes(5, watts=10)
    last = meter.begin()
    machine.passes(1, watts=60)
    known = meter.end(last, busy_s=None)

    assert unknown.joules == pytest.approx(60)
    assert "idle unknown and not subtracted" in unknown.formula
    assert known.joules == pytest.approx(50)


def test_counter_does_not_learn_from_pauses_too_short_or_too_long(machine: Machine) -> None:
    meter = CounterMeter(machine, clock=machine.clock)

    for seconds in (0.5, 3600):
        machine.passes(seconds, watts=1)
        meter.end(meter.begin(), busy_s=None)

    assert "idle unknown" in meter.end(meter.begin(), busy_s=None).formula


def test_counter_shares_and_conserves(machine: Machine) -> None:
    meter = CounterMeter(machine, idle_w=10, clock=machine.clock)

    first = meter.begin()
    machine.passes(2, watts=40)
    second = meter.begin()
    machine.passes(2, watts=60)
    one = meter.end(first, busy_s=None)
    machine.passes(2, watts=40)
    two = meter.end(second, busy_s=None)

    assert one.joules == pytest.approx(2 * 30 + 2 * 50 / 2)
    assert two.joules == pytest.approx(2 * 50 / 2 + 2 * 30)


def test_counter_gives_a_queued_call_its_busy_part_only(machine: Machine) -> None:
    meter = CounterMeter(machine, idle_w=10, slots=1, clock=machine.clock)

    windows = [meter.begin() for _ in range(4)]
    joules: list[float | None] = []
    for window in windows:
        machine.passes(1, watts=60)
        joules.append(meter.end(window, busy_s=1.0).joules)

    assert joules == [pytest.approx(50.0)] * 4


def test_less_than_idle_is_nothing_not_negative(machine: Machine) -> None:
    meter = CounterMeter(machine, idle_w=10, clock=machine.clock)

    window = meter.begin()
    machine.passes(1, watts=3)

    assert meter.end(window, busy_s=None).joules == 0.0


def test_a_counter_that_fails_makes_energy_unknown(machine: Machine) -> None:
    meter = CounterMeter(machine, idle_w=10, clock=machine.clock)

    window = meter.begin()
    machine.passes(1, watts=60)
    machine.is_readable = False
    energy = meter.end(window, busy_s=None)
    machine.is_readable = True
    later = meter.end(meter.begin(), busy_s=None)

    assert (energy.joules, energy.method, energy.busy_s) == (None, "none", 1.0)
    assert later.joules is None


def test_an_instant_has_no_division_by_zero(machine: Machine) -> None:
    for meter in (EstimateMeter(POWER, clock=machine.clock), CounterMeter(machine, clock=machine.clock)):
        energy = meter.end(meter.begin(), busy_s=3.0)
        assert (energy.busy_s, energy.share, energy.joules) == (0.0, 1.0, 0.0)


def test_power_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="makes no sense"):
        Power(tdp_w=10, idle_w=20)
    assert Power().cores == os.cpu_count()
