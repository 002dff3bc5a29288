"""Fixtures that more than one folder of tests uses."""

import asyncio
import struct
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from shoal.models.embedded import EmbeddedModel
from shoal.models.embedded_process import EngineSettings
from shoal.models.weights import fetch_weights

HIDDEN, RANK = 576, 4
STRING, FLOAT32_VALUE, F32_TENSOR = 8, 6, 0
"""Type codes of the GGUF format."""


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct in the user's cache folder, fetched there the first time."""
    folder = platformdirs.user_cache_path("shoal") / "weights"
    return asyncio.run(fetch_weights("smollm2:135m", folder=folder))


@pytest.fixture(scope="session")
def embedded(smollm2_path: Path) -> Generator[EmbeddedModel]:
    """One engine for the whole session; its child process starts with the first request."""
    model = EmbeddedModel("embedded:smollm2:135m", EngineSettings(gguf=smollm2_path, num_ctx=2048))
    yield model
    asyncio.run(model.aclose())


@pytest.fixture(scope="session")
def lora_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters for SmolLM2-135M: random, but they change its answers."""
    folder = tmp_path_factory.mktemp("lora")
    return {name: _write_lora(folder / f"{name}.gguf", seed) for name, seed in (("red", 1), ("blue", 2))}


@pytest.fixture(scope="session")
def tiny_lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes next to nothing."""
    return _write_lora(tmp_path_factory.mktemp("lora") / "tiny.gguf", 3, alpha=1e-6)


def _write_lora(path: Path, seed: int, *, alpha: float = RANK) -> Path:
    rng = np.random.default_rng(seed)
    tensors = {
        "blk.0.attn_q.weight.lora_a": rng.standard_normal((RANK, HIDDEN), np.float32),
        "blk.0.attn_q.weight.lora_b": rng.standard_normal((HIDDEN, RANK), np.float32),
    }
    values = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(alpha),
    }
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        head += _string(key)
        if isinstance(value, str):
            head += struct.pack("<I", STRING) + _string(value)
        else:
            head += struct.pack("<If", FLOAT32_VALUE, value)
    offset = 0
    for name, array in tensors.items():
        rows, columns = array.shape
        head += _string(name) + struct.pack("<IQQIQ", 2, columns, rows, F32_TENSOR, offset)
        offset += array.nbytes  # a multiple of the alignment, 32
    data = b"".join(array.tobytes() for array in tensors.values())
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.fixture
def fresh_imports(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A process works on one project; a test that uses this stands for a process."""
    packages = ("agents", "tools", "graphs")
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        monkeypatch.delitem(sys.modules, name)
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
