from pathlib import Path

import pytest

from shoal.specialists import DataRecord, Draft, Gate, Registry, Score, TuningRecord


def draft(
    *, base: str = "embedded:smollm2:135m", base_digest: str = "sha256:base", passed: bool = True
) -> Draft:
    return Draft(
        base=base,
        base_digest=base_digest,
        system="Read the order.",
        data=DataRecord(
            digest="sha256:rows",
            rows=800,
            held_out=200,
            licence="CC0-1.0",
            source="orders of 2025, scrubbed für uns",
        ),
        tuning=TuningRecord(
            settings={"rank": 16, "learning_rate": 1e-3, "seed": 7}, steps=50, seconds=125.5, device="cpu"
        ),
        scores={"field_f1": Score(value=0.93, low=0.91, high=0.95, rows=200)},
        gate=Gate(passed=passed, reasons=("field_f1 0.930 against 0.900, not worse by more than 0.010.",)),
    )


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "trained.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * 40)
    return path


@pytest.fixture
def registry(tmp_path: Path, adapter: Path) -> Registry:
    """Three versions of one agent, none live."""
    made = Registry(tmp_path / "specialists")
    for _ in range(3):
        made.add("order-reader", draft(), adapter)
    return made
