"""A real Ollama of our own, and LoRA adapters for SmolLM2-135M (random, but they change its answers)."""

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import numpy as np
import pytest

from shoal.models.ollama_library import OllamaLibrary

HIDDEN, RANK = 576, 4
STRING, FLOAT32_VALUE, F32_TENSOR = 8, 6, 0
"""Type codes of the GGUF format."""
START_S = 30.0


@pytest.fixture(scope="session")
def ollama_server(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """URL of an `ollama serve` with a folder and a port of its own, and smollm2:135m in it."""
    binary = shutil.which("ollama")
    if binary is None:
        pytest.skip("there is no `ollama` on PATH: nothing is tested against a real Ollama")
    folder = tmp_path_factory.mktemp("ollama")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",
    }
    url, log = f"http://127.0.0.1:{port}", folder / "serve.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([binary, "serve"], env=os.environ | own, stdout=out, stderr=out) as process,
    ):
        try:
            _wait_until_it_answers(url, process, log)
            asyncio.run(_push(url, smollm2_path))
            yield url
        finally:
            process.terminate()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/api/version", trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"`ollama serve` does not answer:\n{log.read_text()}")


async def _push(url: str, gguf: Path) -> None:
    library = OllamaLibrary(url)
    await library.push("smollm2:135m", gguf)
    await library.aclose()


@pytest.fixture(scope="session")
def lora_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lora")
    return {name: _write_lora(folder / f"{name}.gguf", seed) for name, seed in (("red", 1), ("blue", 2))}


def _write_lora(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    tensors = {
        "blk.0.attn_q.weight.lora_a": rng.standard_normal((RANK, HIDDEN), np.float32),
        "blk.0.attn_q.weight.lora_b": rng.standard_normal((HIDDEN, RANK), np.float32),
    }
    values = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(RANK),
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
