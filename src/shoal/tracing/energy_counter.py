"""Counters of energy in hardware: NVIDIA graphics cards (NVML) and Intel or AMD processors (RAPL).

Nothing is installed for them: NVML is the library that comes with the driver, RAPL a folder of the Linux
kernel. Since CVE-2020-8694 that folder is readable by root only, unless somebody allowed more.
"""

import ctypes
from pathlib import Path
from typing import Self, final

from shoal.tracing.energy import CounterMeter, EnergyMeter, EstimateMeter, Power
from shoal.tracing.record import EnergyMethod

__all__ = ["NvmlCounter", "RaplCounter", "find_meter"]

NVML_LIBRARY = "libnvidia-ml.so.1"
NVML_SUCCESS = 0
POWERCAP = Path("/sys/class/powercap")


def find_meter(
    *, gpu: bool, power: Power | None, idle_w: float | None = None, slots: int | None = None
) -> EnergyMeter | None:
    """The best meter this machine has for an engine; None = there is nothing to go by.

    `gpu`: the engine uses an NVIDIA card where there is one. Cards of other makers have no counter here.
    `power`: for the estimate, where there is no counter. `idle_w`, `slots`: see `CounterMeter`.
    """
    counter = (NvmlCounter.find() if gpu else None) or RaplCounter.find()
    if counter is not None:
        return CounterMeter(counter, idle_w=idle_w, slots=slots)
    return None if power is None else EstimateMeter(power, slots=slots)


@final
class NvmlCounter:
    """Energy of all NVIDIA cards since their driver was loaded. Cards before Volta (2017) do not count it."""

    method: EnergyMethod = "nvml"

    def __init__(self, library: ctypes.CDLL, cards: tuple[ctypes.c_void_p, ...]) -> None:
        self._library = library
        self._cards = cards

    @classmethod
    def find(cls, library: str = NVML_LIBRARY) -> Self | None:
        """The counter, or None without driver, without cards, or with cards that do not count."""
        try:
            nvml = ctypes.CDLL(library)
        except OSError:
            return None
        count = ctypes.c_uint()
        if nvml.nvmlInit_v2() != NVML_SUCCESS:
            return None
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != NVML_SUCCESS or count.value == 0:
            return None
        cards = tuple(ctypes.c_void_p() for _ in range(count.value))
        for index, card in enumerate(cards):
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card)) != NVML_SUCCESS:
                return None
        counter = cls(nvml, cards)
        return None if counter.read_j() is None else counter

    def read_j(self) -> float | None:
        total_mj = 0
        for card in self._cards:
            energy_mj = ctypes.c_ulonglong()
            if (
                self._library.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(energy_mj))
                != NVML_SUCCESS
            ):
                return None
            total_mj += energy_mj.value
        return total_mj / 1000


@final
class RaplCounter:
    """Energy of all processor packages. Wraps after some 65 to 262 kJ, an hour or more at full power."""

    method: EnergyMethod = "rapl"

    def __init__(self, packages: tuple[Path, ...]) -> None:
        """`packages`: folders with `energy_uj` and `max_energy_range_uj`.

        Raises:
            OSError: one of them cannot be read.
            ValueError: one of them holds no number.
        """
        self._files = tuple(package / "energy_uj" for package in packages)
        self._range_uj = tuple(int((package / "max_energy_range_uj").read_text()) for package in packages)
        self._last_uj = [int(file.read_text()) for file in self._files]
        self._total_uj = 0

    @classmethod
    def find(cls, powercap: Path = POWERCAP) -> Self | None:
        """The counter, or None where the kernel has none or does not let this user read it."""
        # intel-rapl:0, intel-rapl:1, ... are packages; intel-rapl:0:0 is a part of one, already counted.
        packages = tuple(sorted(path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1))
        if not packages:
            return None
        try:
            return cls(packages)
        except (OSError, ValueError):
            return None

    def read_j(self) -> float | None:
        for index, file in enumerate(self._files):
            try:
                now_uj = int(file.read_text())
            except (OSError, ValueError):
                return None
            step_uj = now_uj - self._last_uj[index]
            self._total_uj += step_uj if step_uj >= 0 else step_uj + self._range_uj[index]
            self._last_uj[index] = now_uj
        return self._total_uj / 1e6
