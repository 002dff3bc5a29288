import shutil
import subprocess
from pathlib import Path

import pytest

from shoal.tracing.energy import CounterMeter, EstimateMeter, Power
from shoal.tracing.energy_counter import NvmlCounter, RaplCounter, find_meter


def package(powercap: Path, name: str, energy_uj: int, range_uj: int = 1_000_000) -> Path:
    folder = powercap / name
    folder.mkdir(parents=True)
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder


def test_rapl_adds_up_packages_and_not_their_parts(tmp_path: Path) -> None:
    first = package(tmp_path, "intel-rapl:0", 100_000)
    second = package(tmp_path, "intel-rapl:1", 200_000)
    part = package(tmp_path, "intel-rapl:0:0", 50_000)
    counter = RaplCounter.find(tmp_path)
    assert counter is not None
    before = counter.read_j()

    (first / "energy_uj").write_text("400000")
    (second / "energy_uj").write_text("300000")
    (part / "energy_uj").write_text("999999")
    after = counter.read_j()

    assert before == 0.0
    assert after == pytest.approx(0.4)


def test_rapl_wraps(tmp_path: Path) -> None:
    only = package(tmp_path, "intel-rapl:0", 900_000, range_uj=1_000_000)
    counter = RaplCounter.find(tmp_path)
    assert counter is not None

    (only / "energy_uj").write_text("100000")

    assert counter.read_j() == pytest.approx(0.2)


def test_rapl_that_goes_away_reads_as_unknown(tmp_path: Path) -> None:
    only = package(tmp_path, "intel-rapl:0", 1)
    counter = RaplCounter.find(tmp_path)
    assert counter is not None

    shutil.rmtree(only)

    assert counter.read_j() is None


def test_rapl_is_not_there(tmp_path: Path) -> None:
    assert RaplCounter.find(tmp_path) is None
    assert RaplCounter.find(tmp_path / "nowhere") is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert RaplCounter.find(tmp_path) is None


FAKE_NVML = """
static unsigned long long energy_mj[2] = {1000, 500};
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **card) { *card = &energy_mj[index]; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *mj) {
    unsigned long long *mine = card;
    if (*mine > 10000) return 3;
    *mine += 1500;
    *mj = *mine;
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_nvml_adds_up_all_cards(tmp_path: Path) -> None:
    source, library = tmp_path / "nvml.c", tmp_path / "libnvml.so"
    source.write_text(FAKE_NVML)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)

    counter = NvmlCounter.find(str(library))

    assert counter is not None
    assert counter.read_j() == pytest.approx(1.0 + 0.5 + 2 * 2 * 1.5)
    readings = [counter.read_j() for _ in range(10)]
    assert readings[-1] is None, "a card that stops counting makes the sum unknown"


def test_nvml_is_not_there(tmp_path: Path) -> None:
    assert NvmlCounter.find("libnvidia-that-nobody-has.so.1") is None
    (tmp_path / "lib.so").write_text("not a library")
    assert NvmlCounter.find(str(tmp_path / "lib.so")) is None


def test_the_best_meter_there_is() -> None:
    power = Power()
    meter = find_meter(gpu=True, power=power)
    assert isinstance(meter, CounterMeter | EstimateMeter)
    if isinstance(meter, EstimateMeter):
        assert find_meter(gpu=False, power=None) is None
