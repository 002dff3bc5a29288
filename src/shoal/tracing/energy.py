"""How much energy a call took of this machine, above what the machine draws doing nothing.

Three ways, named in every result: a counter of the graphics card (nvml), a counter of the processor (rapl),
or an estimate from the busy time and the power of the processor. Counters see the whole device, other
programs included. None of them sees memory, disks, fans or the power supply's losses.

Calls that run at the same time share what is drawn: while n of them run, each counts for 1/n. Calls that
wait in a queue draw nothing, so the engine's busy seconds (load, prefill, decode) scale the result.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from shoal.core.errors import ConfigError
from shoal.tracing.record import EnergyMethod

__all__ = ["CounterMeter", "Energy", "EnergyCounter", "EnergyMeter", "EstimateMeter", "Power", "Window"]

Clock = Callable[[], float]
"""Seconds since some moment; never goes back."""

IDLE_WINDOW_S = (1.0, 60.0)
"""Pauses between calls from which the idle power is learnt: long enough to mean something, short enough
that a counter does not wrap twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What one call took."""

    joules: float | None
    """Above idle, this call's share; None = unknown."""
    method: EnergyMethod
    busy_s: float
    """Seconds the engine worked on it."""
    share: float
    """Its share of the machine in that time, in (0, 1]."""
    formula: str
    """How `joules` came about, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The beginning of a call, as the meter saw it."""

    at: float
    turn_s: float
    turn_j: float


class EnergyMeter(Protocol):
    """Measures calls that may overlap, from any thread; well under 0.1 ms a call."""

    def begin(self) -> Window:
        """A call begins."""
        ...

    def end(self, window: Window, *, busy_s: float | None) -> Energy:
        """It has ended. `busy_s`: how long the engine worked on it; None = all the time."""
        ...


class EnergyCounter(Protocol):
    """A counter of the hardware."""

    @property
    def method(self) -> EnergyMethod: ...

    def read_j(self) -> float | None:
        """Joules since some moment in the past; None = it cannot be read any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A processor, for the estimate. Say your own numbers: the defaults are a common desktop's."""

    tdp_w: float = 65.0
    """Drawn with all cores at work."""
    idle_w: float = 15.0
    cores: int = os.cpu_count() or 1
    busy_cores: int | None = None
    """Cores an engine uses while it works; None = all."""

    def __post_init__(self) -> None:
        if self.tdp_w < self.idle_w or self.cores < 1:
            raise ConfigError(
                "the power estimate makes no sense", why=str(self), mend="tdp_w >= idle_w, cores >= 1"
            )


@final
class EstimateMeter:
    """busy seconds x share x (TDP - idle) x busy cores / cores."""

    def __init__(self, power: Power, *, slots: int | None = None, clock: Clock = time.perf_counter) -> None:
        """`slots`: how many calls the engine works on at a time, at most; None = as many as there are."""
        self._power = power
        self._clock = clock
        self._turns = _Turns(slots)
        self._lock = threading.Lock()

    def begin(self) -> Window:
        with self._lock:
            return self._turns.enter(self._clock(), 0.0)

    def end(self, window: Window, *, busy_s: float | None) -> Energy:
        with self._lock:
            now = self._clock()
            turn = self._turns.leave(window, now, 0.0)
        busy, share = _busy_and_share(window, now, turn.turn_s, busy_s)
        power = self._power
        busy_cores = power.cores if power.busy_cores is None else power.busy_cores
        return Energy(
            joules=busy * share * (power.tdp_w - power.idle_w) * busy_cores / power.cores,
            method="estimate",
            busy_s=busy,
            share=share,
            formula=f"estimate: {busy:.4g} s x share {share:.3g} x ({power.tdp_w:g} - {power.idle_w:g}) W"
            f" x {busy_cores}/{power.cores} cores",
        )


@final
class CounterMeter:
    """What a counter advanced, less idle, divided among the calls that ran."""

    def __init__(
        self,
        counter: EnergyCounter,
        *,
        idle_w: float | None = None,
        slots: int | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        """`idle_w`: power without work; None = the lowest seen in a pause between calls."""
        self._counter = counter
        self._clock = clock
        self._turns = _Turns(slots)
        self._lock = threading.Lock()
        self._learns_idle = idle_w is None
        self._idle_w = idle_w
        self._read_at = clock()
        self._read_j = counter.read_j()

    def begin(self) -> Window:
        with self._lock:
            now = self._clock()
            return self._turns.enter(now, self._above_idle(now))

    def end(self, window: Window, *, busy_s: float | None) -> Energy:
        with self._lock:
            now = self._clock()
            turn = self._turns.leave(window, now, self._above_idle(now))
            is_readable, idle_w = self._read_j is not None, self._idle_w
        busy, share = _busy_and_share(window, now, turn.turn_s, busy_s)
        worked = busy / (now - window.at) if now > window.at else 1.0
        idle = "unknown and not subtracted" if idle_w is None else f"{idle_w:.3g} W subtracted"
        return Energy(
            joules=turn.turn_j * worked if is_readable else None,
            method=self._counter.method if is_readable else "none",
            busy_s=busy,
            share=share,
            formula=f"{self._counter.method} counter over {busy:.4g} s, share {share:.3g}, idle {idle}",
        )

    def _above_idle(self, now: float) -> float:
        """Joules above idle since the last look. The first pauses teach what idle is."""
        before_at, before_j = self._read_at, self._read_j
        if before_j is None:
            return 0.0
        self._read_at, self._read_j = now, self._counter.read_j()
        if self._read_j is None:
            return 0.0
        seconds, joules = now - before_at, self._read_j - before_j
        if self._learns_idle and not self._turns.running and IDLE_WINDOW_S[0] <= seconds <= IDLE_WINDOW_S[1]:
            watts = joules / seconds
            self._idle_w = watts if self._idle_w is None else min(self._idle_w, watts)
        return max(0.0, joules - (self._idle_w or 0.0) * seconds)


@final
class _Turns:
    """Divides seconds and joules among those that run. A call's part is what came in while it was there."""

    def __init__(self, slots: int | None) -> None:
        self._slots = slots
        self.running = 0
        self._at = 0.0
        self._turn_s = 0.0
        self._turn_j = 0.0

    def enter(self, now: float, joules: float) -> Window:
        self._divide(now, joules)
        self.running += 1
        return Window(at=now, turn_s=self._turn_s, turn_j=self._turn_j)

    def leave(self, since: Window, now: float, joules: float) -> Window:
        """What fell to one who was there since."""
        self._divide(now, joules)
        self.running -= 1
        return Window(at=now, turn_s=self._turn_s - since.turn_s, turn_j=self._turn_j - since.turn_j)

    def _divide(self, now: float, joules: float) -> None:
        if self.running:
            parts = self.running if self._slots is None else min(self.running, self._slots)
            self._turn_s += (now - self._at) / parts
            self._turn_j += joules / parts
        self._at = now


def _busy_and_share(window: Window, now: float, turn_s: float, busy_s: float | None) -> tuple[float, float]:
    elapsed = now - window.at
    busy = elapsed if busy_s is None else min(busy_s, elapsed)
    return busy, (turn_s / elapsed if elapsed > 0 else 1.0)
