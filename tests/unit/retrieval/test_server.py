"""The same index on a Chroma server of the test's own."""

import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from shoal.core.errors import ConfigError, StorageError
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import KnowledgeIndex, open_index

CHROMA = Path(sys.executable).with_name("chroma")
START_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "handbook"
    root.mkdir()
    (root / "leave.md").write_text("# Leave\n\nParental leave is 14 weeks.\n", encoding="utf-8")
    return root


@pytest.fixture
def server(tmp_path: Path) -> Generator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [CHROMA, "run", "--host", "127.0.0.1", "--port", str(port), "--path", tmp_path / "server"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        give_up = time.monotonic() + START_S
        while not _answers(url):
            assert time.monotonic() < give_up, "chroma run does not answer"
            time.sleep(0.05)
        yield url
        process.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/heartbeat").is_success
    except httpx.TransportError:
        return False


async def test_an_index_on_a_server(server: str, folder: Path, tmp_path: Path) -> None:
    index = await open_index(folder, tmp_path / "data", MiniLM(), url=server)
    best, *_ = await index.search("how long is parental leave?", limit=1)
    assert best.source == "handbook/leave.md"
    assert index.writer.verify() == ()
    assert index.writer.add().unchanged == ("handbook/leave.md",)
    assert index.writer.rebuild().added == ("handbook/leave.md",)
    assert (await index.search("parental leave", limit=1))[0].text == best.text
    await index.aclose()


def test_a_missing_server_is_named(folder: Path, tmp_path: Path) -> None:
    index = KnowledgeIndex(folder, tmp_path / "data", MiniLM(), url="http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"no Chroma server answers at http://127\.0\.0\.1:9"):
        index.writer.add()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_what_is_no_url_is_refused(folder: Path, tmp_path: Path, url: str) -> None:
    index = KnowledgeIndex(folder, tmp_path / "data", MiniLM(), url=url)
    with pytest.raises(ConfigError, match="is not the URL"):
        index.writer.add()
