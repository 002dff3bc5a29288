"""The child process of the embedded engine, seen from the parent: one per base model, started at first use.

Not the model's port (that is `embedded`) and not what the child does (`embedded_child`). llama.cpp runs
in a process of its own so that its memory comes back whole when it ends, and so that its crash is an
error here and not the end of the program.

The transport is llama-server's own HTTP on a Unix socket in a folder only this user may enter: no port
to collide on or to guard, and cancellation is the closing of a connection. Nothing here belongs to one
event loop, so a model may be used from several in turn, as repeated `asyncio.run` calls do.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path

import httpx

from shoal.core.errors import ConfigError, EngineDown, LoadFailed, ModelError, ShoalError, StreamBroken
from shoal.core.file_digest import hash_file
from shoal.models import embedded_child
from shoal.models.embedded_child import ChildReport, ChildSpec
from shoal.models.embedded_settings import (
    EngineSettings,
    check_files,
    check_installed,
    usable_cores,
)
from shoal.models.embedded_wire import parse_refusal, parse_slot_size
from shoal.models.sse import read_events

__all__ = ["EmbeddedProcess", "EngineChild", "EngineSettings"]

SOCKET_PATH_MAX = 100
"""Bytes; the kernels allow 103 (macOS) and 107 (Linux)."""
DEATH_POLLS, POLL_S = 50, 0.01
"""How long a process may take from closing its sockets to being gone: half a second in all."""


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
            ConfigError: the engine is not installed, or cannot work with these settings.
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
        self._socket = folder / "engine.sock"
        self._log = folder / "engine.log"
        self._name = name
        self._process = start_child(self._socket, self._log, settings)
        self.stop = weakref.finalize(self, end_child, self._process, folder)
        """Idempotent; also called when the child is forgotten and when Python ends."""
        self._base_digest = ""
        self._adapter_digests: dict[str, str] = {}
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(self._socket),
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

    def digest(self, adapter: str | None) -> str:
        """Hash of the weights that were loaded: the base's, or base and adapter joined by "+"."""
        return (
            self._base_digest if adapter is None else f"{self._base_digest}+{self._adapter_digests[adapter]}"
        )

    async def post(self, path: str, body: Mapping[str, object]) -> bytes:
        """One short call, answered at once.

        Raises:
            RequestRefused: the engine rejects the body.
            EngineDown: the child is gone.
            StreamBroken: it died meanwhile.
        """
        try:
            reply = await self._client.post(path, json=body)
        except httpx.TransportError as error:
            raise await self._fail(error) from error
        if reply.is_error:
            raise parse_refusal(self._name, reply.content)
        return reply.content

    async def stream(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[str]:
        """The `data:` lines of a streamed answer. Closing the generator cancels the work in the child.

        Raises:
            RequestRefused: the engine rejects the body.
            ContextOverflow: the prompt does not fit.
            EngineDown: the child is gone.
            StreamBroken: it died meanwhile, or what it sent is no stream of events.
        """
        try:
            async with self._client.stream("POST", path, json=body) as reply:
                if reply.is_error:
                    raise parse_refusal(self._name, await reply.aread())
                # Not aiter_lines, which also cuts at U+2028 and its like: llama.cpp writes them unescaped.
                async with aclosing(read_events(reply.aiter_bytes())) as events:
                    async for event in events:
                        yield f"data: {event.decode(errors='replace')}"
        except httpx.TransportError as error:
            raise await self._fail(error) from error

    async def _fail(self, error: httpx.TransportError) -> ModelError:
        """The error for a broken connection. A child that is gone is cleared away; the next request
        starts another. One that runs is left alone: it may be this side that has no file handle left.
        """
        for _ in range(DEATH_POLLS):
            if self.exit_code is not None:
                break
            await asyncio.sleep(POLL_S)
        code = self.exit_code
        if code is None and self._socket.exists():
            return EngineDown(f"{self._name} cannot be reached", why=str(error))
        self.stop()
        why = "its socket was removed" if code is None else f"its process ended with exit code {code}"
        if isinstance(error, httpx.ConnectError):
            return EngineDown(f"{self._name} is not running", why=why)
        return StreamBroken(f"{self._name} stopped while answering", why=why)

    def _wait_loaded(self, settings: EngineSettings) -> None:
        """In a thread of its own: it blocks, and no event loop outlives it for sure."""
        try:
            self._check_loaded(settings)
        except ShoalError as error:
            failure = error
        except (OSError, ValueError, httpx.TransportError) as error:  # the child was ended meanwhile
            failure = EngineDown(f"{self._name} was ended while it was loading", why=str(error))
        else:
            self.loaded.set_result(None)
            return
        self.stop()
        self.loaded.set_exception(failure)

    def _check_loaded(self, settings: EngineSettings) -> None:
        # Computed while llama.cpp loads the same bytes.
        self._base_digest = hash_file(settings.gguf)
        self._adapter_digests = {name: hash_file(path) for name, path in settings.adapters.items()}
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        report: ChildReport = json.loads(line) if line else {"error": "its process ended"}
        if report["error"] is not None:
            complaints = self._log.read_text(errors="replace").splitlines()
            why = "; ".join([report["error"], *complaints[:1]])
            raise LoadFailed(f"{self._name} could not be loaded", why=why, mend="shoal doctor")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self._socket), verify=False)) as client:
            num_ctx = parse_slot_size(client.get("http://engine/slots").content)
        if num_ctx < settings.num_ctx:
            raise ConfigError(
                f"{self._name} has no context of {settings.num_ctx} tokens",
                why=f"it was trained for {num_ctx}",
                mend=f"set num_ctx = {num_ctx} for it in shoal.toml",
            )


def start_child(socket: Path, log: Path, settings: EngineSettings) -> subprocess.Popen[str]:
    if len(os.fsencode(socket)) > SOCKET_PATH_MAX:
        socket.parent.rmdir()
        raise ConfigError(
            f"the temporary folder's path is too long for a socket: {socket}",
            why=f"the system allows {SOCKET_PATH_MAX} bytes",
            mend="set TMPDIR to a shorter path, e.g. TMPDIR=/tmp",
        )
    spec = ChildSpec(
        gguf=str(settings.gguf),
        socket=str(socket),
        num_ctx=settings.num_ctx,
        at_once=settings.slots,
        slots=settings.total_slots,
        threads=settings.threads or max(1, usable_cores() - 1),
        adapters=[str(path) for path in settings.adapters.values()],
    )
    with log.open("wb") as errors:
        return subprocess.Popen(  # noqa: S603 (our own file, by this interpreter)
            # -P: the script's own folder holds modules named like installed packages.
            [sys.executable, "-P", str(Path(embedded_child.__file__)), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is the parent's to handle; it closes the stream, then us
        )


def end_child(process: subprocess.Popen[str], folder: Path) -> None:
    """Nothing in the child is worth a farewell: kill it, then remove its folder."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
