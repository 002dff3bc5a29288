"""A real Ollama of our own."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shoal.models.ollama_library import OllamaLibrary

START_S = 30.0


@pytest.fixture(scope="session")
def ollama_server(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """URL of an `ollama serve` with a folder and a port of its own, and smollm2:135m in it."""
    with _serve(tmp_path_factory.mktemp("ollama")) as url:
        asyncio.run(_push(url, {"smollm2:135m": smollm2_path}))
        yield url


@pytest.fixture
def narrow_ollama_server(smollm2_path: Path, tmp_path: Path) -> Generator[str]:
    """URL of one that holds one of its models at a time: "one:135m" or "two:135m", alike but for the hash."""
    files = {f"{name}:135m": tmp_path / f"{name}.gguf" for name in ("one", "two")}
    for name, path in files.items():
        path.write_bytes(smollm2_path.read_bytes() + name.encode())
    with _serve(tmp_path, OLLAMA_MAX_LOADED_MODELS="1") as url:
        asyncio.run(_push(url, files))
        yield url


@contextmanager
def _serve(folder: Path, **settings: str) -> Generator[str]:
    binary = shutil.which("ollama")
    if binary is None:
        pytest.skip("there is no `ollama` on PATH: nothing is tested against a real Ollama")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {
        "HOME": str(folder),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",
        **settings,
    }
    url, log = f"http://127.0.0.1:{port}", folder / "serve.log"
    with (
        log.open("wb") as out,
        subprocess.Popen([binary, "serve"], env=os.environ | own, stdout=out, stderr=out) as process,
    ):
        try:
            _wait_until_it_answers(url, process, log)
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


async def _push(url: str, files: Mapping[str, Path]) -> None:
    library = OllamaLibrary(url)
    for name, gguf in files.items():
        await library.push(name, gguf)
    await library.aclose()
