"""The models of an Ollama server: list, show, pull, push, remove.

Not the chat (`ollama`) and not what is in memory (`ollama_memory`). Goes through the `ollama` package where
that can do it, and keeps its traps from the caller: no time limits, errors in a stream with status -1,
exceptions of httpx, streams that end too soon.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, final

import httpx
from pydantic import ValidationError

from shoal.core.errors import (
    EngineDown,
    ModelError,
    ModelMissing,
    RequestRefused,
    StorageError,
    StreamBroken,
)
from shoal.models.network import build_transport
from shoal.models.ollama_error import from_status, from_transport
from shoal.models.ollama_info import is_cloud_name

if TYPE_CHECKING:
    import ollama

__all__ = ["LibraryLimits", "ModelCard", "OllamaLibrary", "PullProgress", "StoredModel"]

T = TypeVar("T")
OnErrorLine = Callable[[str], ModelError]

CONNECT_ONLY = httpx.Timeout(None, connect=5.0)
"""For reading, `LibraryLimits` know what is being waited for."""
CHUNK_BYTES = 1 << 20
IN_STREAM = -1
"""The `ollama` package's status of an error that came in a line of a stream."""
NOT_IN_REGISTRY = "pull model manifest: file does not exist"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model on the server's disk."""

    name: str
    """With its tag, e.g. "gemma3:latest"."""
    digest: str | None
    """Of weights, template and parameters."""
    size_bytes: int | None
    remote: bool
    """Its name says that it runs in Ollama's cloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a server says of a model, loaded or not."""

    name: str
    family: str | None
    parameters: str | None
    """Their number as Ollama writes it, e.g. "134.52M"."""
    quantization: str | None
    capabilities: frozenset[str]
    """Of "completion", "tools", "thinking", "vision", "embedding", "insert"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    status: str
    """What is being done, in Ollama's words."""
    done_bytes: int
    total_bytes: int | None
    """Of the parts known so far: it grows with each of them; None = none is known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryLimits:
    """Seconds after which an Ollama that says nothing is given up."""

    look_up_s: float = 30.0
    """For what costs the server no more than reading its files."""
    silence_s: float = 600.0
    """Between two signs of life of a pull: checking the digest of a large model gives none for minutes."""


@final
class OllamaLibrary:
    """The models of one server. Every method raises `EngineDown` when no Ollama answers there."""

    def __init__(
        self,
        host_url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        limits: LibraryLimits | None = None,
    ) -> None:
        """Nothing is opened here.

        Args:
            host_url: e.g. "http://127.0.0.1:11434".
            transport: how connections are made; `aclose` closes it. None: to this machine only.
            limits: how long to wait.
        """
        self._url = host_url
        self._limits = limits or LibraryLimits()
        self._transport = transport or build_transport(local_only=True)
        self._http = httpx.AsyncClient(base_url=host_url, transport=self._transport, timeout=CONNECT_ONLY)

    async def list(self) -> tuple[StoredModel, ...]:
        """What is on the server's disk, the last changed first."""
        with self._errors():
            found = await self._soon(self._client.list())
        return tuple(
            StoredModel(
                name=each.model, digest=each.digest, size_bytes=each.size, remote=is_cloud_name(each.model)
            )
            for each in found.models
            if each.model
        )

    async def show(self, model: str) -> ModelCard:
        """What a model is. About a cloud model this asks the cloud.

        Raises:
            ModelMissing: it is not on the server.
        """
        with self._errors(model):
            shown = await self._soon(self._client.show(model))
        details = shown.details
        return ModelCard(
            name=model,
            family=details.family if details else None,
            parameters=details.parameter_size if details else None,
            quantization=details.quantization_level if details else None,
            capabilities=frozenset(shown.capabilities or ()),
        )

    async def pull(self, model: str) -> AsyncGenerator[PullProgress]:
        """Download a model; it is there when this ends. Closed early, a later pull goes on from there.

        Raises:
            ModelMissing: the registry does not have it.
            StreamBroken: the download stopped before its end.
        """
        parts: dict[str, tuple[int, int]] = {}
        begun = self._client.pull(model, stream=True)
        async with aclosing(self._follow(begun, model, lambda line: _pull_error(line, model))) as steps:
            async for step in steps:
                if step.digest:
                    parts[step.digest] = (step.completed or 0, step.total or 0)
                yield PullProgress(
                    status=step.status or "",
                    done_bytes=sum(done for done, _ in parts.values()),
                    total_bytes=sum(total for _, total in parts.values()) if parts else None,
                )

    async def push(self, model: str, gguf: Path) -> None:
        """Make a model of a GGUF file. Its content is sent only where the server does not have it yet.

        Raises:
            StorageError: the file cannot be read.
            RequestRefused: Ollama cannot make a model of it.
            StreamBroken: it stopped before its end.
        """
        try:
            digest = await asyncio.to_thread(_hash, gguf)
            await self._upload(gguf, digest)
        except OSError as error:
            raise StorageError(f"{gguf} cannot be read", why=str(error)) from error
        begun = self._client.create(model, files={gguf.name: digest}, stream=True)
        async for _ in self._follow(
            begun, model, lambda line: RequestRefused(f"Ollama cannot make a model of {gguf}", why=line)
        ):
            pass

    async def remove(self, model: str) -> None:
        """Delete a model from the server's disk.

        Raises:
            ModelMissing: it is not there.
        """
        with self._errors(model):
            _ = await self._soon(self._client.delete(model))

    async def aclose(self) -> None:
        """Give back the connections. Idempotent."""
        await self._http.aclose()

    @cached_property
    def _client(self) -> "ollama.AsyncClient":
        import ollama

        return ollama.AsyncClient(self._url, transport=self._transport, timeout=CONNECT_ONLY, trust_env=False)

    async def _soon(self, answer: Awaitable[T]) -> T:
        async with asyncio.timeout(self._limits.look_up_s):
            return await answer

    async def _upload(self, gguf: Path, digest: str) -> None:
        path = f"/api/blobs/{digest}"
        with self._errors():
            if (await self._soon(self._http.head(path))).is_success:
                return
            reply = await self._http.post(path, content=_read(gguf))
            if not reply.is_success:
                raise from_status(reply.status_code, reply.content, model=gguf.name, url=self._url)

    async def _follow(
        self,
        begun: "Awaitable[AsyncIterator[ollama.ProgressResponse]]",
        model: str,
        on_error_line: OnErrorLine,
    ) -> "AsyncGenerator[ollama.ProgressResponse]":
        status: str | None = None
        with self._errors(model, on_error_line):
            # An async generator, though the package does not say so; unclosed it would keep the connection.
            steps = cast("AsyncGenerator[ollama.ProgressResponse]", await begun)
            async with aclosing(steps):
                while True:
                    async with asyncio.timeout(self._limits.silence_s):
                        step = await anext(steps, None)
                    if step is None:
                        break
                    status = step.status
                    yield step
        if status != "success":
            raise StreamBroken(f"Ollama stopped working on {model}", why=f'the last it said was "{status}"')

    @contextmanager
    def _errors(self, model: str = "", on_error_line: "OnErrorLine" = StreamBroken) -> Generator[None]:
        """Maps what httpx and the `ollama` package raise."""
        import ollama

        try:
            yield
        except ollama.ResponseError as error:
            if error.status_code == IN_STREAM:
                raise on_error_line(error.error) from error
            if error.status_code == 404 and not model:
                raise self._not_ollama(error.error) from error
            body = json.dumps({"error": error.error}).encode()
            raise from_status(error.status_code, body, model=model, url=self._url) from error
        except httpx.HTTPError as error:
            raise from_transport(error, url=self._url) from error
        except ConnectionError as error:  # what the package makes of a refused connection
            raise from_transport(httpx.ConnectError(str(error)), url=self._url) from error
        except TimeoutError as error:
            mend = "stop Ollama and start it again: `ollama serve`"
            raise EngineDown(f"Ollama at {self._url} has gone silent", mend=mend) from error
        except (ValidationError, json.JSONDecodeError) as error:
            raise self._not_ollama(str(error)) from error

    def _not_ollama(self, why: str) -> EngineDown:
        mend = "set url in [ollama] of shoal.toml, or OLLAMA_HOST"
        return EngineDown(f"what answers at {self._url} is not Ollama", why=why, mend=mend)


def _pull_error(line: str, model: str) -> ModelError:
    if line == NOT_IN_REGISTRY:
        mend = "look the name up at https://ollama.com/library"
        return ModelMissing(f'the registry has no model "{model}"', why=line, mend=mend)
    mend = f"ollama pull {model}  (it goes on where it stopped)"
    return StreamBroken(f"the download of {model} stopped", why=line, mend=mend)


def _hash(gguf: Path) -> str:
    with gguf.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


async def _read(gguf: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(gguf.open, "rb")
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
