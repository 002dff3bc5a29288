"""The child process of the embedded engine, seen from the parent: one per base model, started at first use.

Not the model's port (that is `embedded`) and not what the child does (`embedded_child`). llama.cpp runs
in a process of its own so that its memory comes back whole when it ends, and so that its crash is an
error here and not the end of the program.

The transport is llama-server's own HTTP on a Unix socket in a folder only this user may enter: no port
to collide on or to guard, and cancellation is the closing of a connection. Nothing here belongs to one
event loop, so a model may be used from several in turn, as repeated `asyncio.run` calls do.
"""

import asyncio
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

import httpx

from shoal.core.errors import ConfigError, EngineDown, ModelError, ModelMissing, StorageDamaged, StreamBroken
from shoal.models import embedded_child
from shoal.models.embedded_child import ChildReport, ChildSpec

__all__ = ["EmbeddedProcess", "EngineChild", "EngineSettings", "hash_file"]

SOCKET_PATH_MAX = 100
"""Bytes; the kernels allow 103 (macOS) and 107 (Linux)."""
GGUF_MAGIC = b"GGUF"
DEATH_S = 0.5
"""How long a process may take from closing its sockets to being gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What a child is started with. A change of any of it needs another child."""

    gguf: Path
    num_ctx: int = 4096
    """Tokens of prompt and answer together, per slot."""
    slots: int = 2
    """Answers computed at once. Memory grows with `slots * num_ctx`."""
    threads: int | None = None
    """None = one less than the cores this process may use: generation at full width collapses when
    anything else runs."""
    adapters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """LoRA adapters (GGUF) that requests may ask for: what `ChatRequest.adapter` says -> the file."""


class EmbeddedProcess:
    """Starts the child when it is first needed, and another one when it has died."""

    def __init__(self, name: str, settings: EngineSettings) -> None:
        self.name = name
        self.settings = settings
        self._lock = threading.Lock()
        self._child: EngineChild | None = None

    async def child(self) -> "EngineChild":
        """The running child, its model loaded. Cancelling the wait does not cancel the load.

        Raises:
            ConfigError: the engine is not installed, or this system lacks what it needs.
            ModelMissing: there is no such GGUF file.
            StorageDamaged: the file is not a GGUF.
            EngineDown: the model cannot be loaded.
        """
        with self._lock:
            child = self._child
            if child is None or child.exit_code is not None:
                if child is not None:
                    child.stop()
                child = self._child = EngineChild(self.name, self.settings)
        await asyncio.wrap_future(child.loaded)
        return child

    @property
    def pid(self) -> int | None:
        """None = not running."""
        child = self._child
        return child.pid if child is not None and child.exit_code is None else None

    async def bury(self, child: "EngineChild", error: httpx.TransportError) -> ModelError:
        """Clear away a child that no longer answers and build the error that says so."""
        why = await asyncio.to_thread(child.ending)
        with self._lock:
            if self._child is child:
                self._child = None
        await asyncio.to_thread(child.stop)
        if isinstance(error, httpx.ConnectError):
            return EngineDown(f"{self.name} is not running", why=why)
        return StreamBroken(f"{self.name} stopped while answering", why=why)

    async def aclose(self) -> None:
        """End the child and give its memory back. Idempotent; the next request starts another."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(child.stop)


class EngineChild:
    """One life of the child process."""

    def __init__(self, name: str, settings: EngineSettings) -> None:
        check_installed()
        check_files(name, settings)
        folder = Path(tempfile.mkdtemp(prefix="shoal-"))  # mode 0700
        socket = folder / "engine.sock"
        self._log = folder / "engine.log"
        self._name = name
        self._process = start_child(socket, self._log, settings)
        self._finalizer = weakref.finalize(self, end_child, self._process, folder)
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(socket),
                verify=False,  # no TLS on a Unix socket; skips loading certificates
                # A kept connection belongs to one event loop and may be closed by the server at any
                # time; a new one costs about 0.1 ms.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            ),
            base_url="http://engine",
            timeout=None,  # noqa: S113 (deadlines are a wrapper's work)
        )
        self.loaded: Future[None] = Future()
        """Done when the model answers, or with the error that it never will."""
        self.loaded.set_running_or_notify_cancel()  # a waiter's cancellation is not the load's
        threading.Thread(target=self._wait_loaded, args=(settings,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None = still running; negative = ended by that signal."""
        return self._process.poll()

    def ending(self) -> str:
        """How the child ended, for an error's `why`. Waits a moment for a death in progress."""
        try:
            return f"its process ended with exit code {self._process.wait(DEATH_S)}"
        except subprocess.TimeoutExpired:
            return "its process runs but does not answer"

    def stop(self) -> None:
        self._finalizer()

    def _wait_loaded(self, settings: EngineSettings) -> None:
        for path in (settings.gguf, *settings.adapters.values()):
            hash_file(path)  # answers carry the digest: computed while llama.cpp loads the same bytes
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        report: ChildReport = json.loads(line) if line else {"error": "the engine ended while loading"}
        if report["error"] is None:
            self.loaded.set_result(None)
            return
        complaints = self._log.read_text(errors="replace").splitlines()
        self.loaded.set_exception(
            EngineDown(
                f"{self._name} could not be loaded",
                why="; ".join([report["error"], self.ending(), *complaints[:1]]),
                mend="shoal doctor",
            )
        )


def check_installed() -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            "the embedded engine is not installed",
            why="embedded: models run in llama.cpp, which comes with the package xllamacpp",
            mend='pip install "shoal[embedded]"',
        )
    if os.name != "posix":
        raise ConfigError(
            "the embedded engine needs Unix sockets",
            why=f"Python has none on {sys.platform}",
            mend='use an "ollama:" model instead',
        )


def check_files(name: str, settings: EngineSettings) -> None:
    for path in (settings.gguf, *settings.adapters.values()):
        if not path.is_file():
            raise ModelMissing(
                f"{name}: there is no file {path}",
                why="its weights were never fetched, or were moved",
                mend=f"shoal models pull {name}",
            )
        with path.open("rb") as file:
            if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise StorageDamaged(
                    f"{name}: {path} is not a GGUF file",
                    why="it does not begin with the four letters every GGUF begins with",
                    mend=f"delete it, then: shoal models pull {name}",
                )


def start_child(socket: Path, log: Path, settings: EngineSettings) -> subprocess.Popen[str]:
    if len(os.fsencode(socket)) > SOCKET_PATH_MAX:
        shutil.rmtree(socket.parent)
        raise ConfigError(
            f"the temporary folder's path is too long for a socket: {socket}",
            why=f"the system allows {SOCKET_PATH_MAX} bytes",
            mend="set TMPDIR to a shorter path, e.g. TMPDIR=/tmp",
        )
    spec = ChildSpec(
        gguf=str(settings.gguf),
        socket=str(socket),
        num_ctx=settings.num_ctx,
        slots=settings.slots,
        threads=settings.threads or max(1, usable_cores() - 1),
        adapters=[str(path) for path in settings.adapters.values()],
    )
    with log.open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 (our own file, by this interpreter)
            # -P: the script's own folder holds modules named like installed packages.
            [sys.executable, "-P", str(Path(embedded_child.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is the parent's to handle; it closes the stream, then us
        )
    write_line(process.stdin, json.dumps(spec))
    return process


def write_line(stdin: IO[str] | None, line: str) -> None:
    assert stdin is not None
    stdin.write(line + "\n")
    stdin.flush()


def end_child(process: subprocess.Popen[str], folder: Path) -> None:
    """Nothing in the child is worth a farewell: kill it, then remove its folder."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 2


def hash_file(path: Path) -> str:
    """`sha256:` and the hexadecimal digest. Computed once per state of the file, about 1 s for 1.5 GB."""
    status = path.stat()
    return _hash_file(path, status.st_size, status.st_mtime_ns)


@cache
def _hash_file(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
