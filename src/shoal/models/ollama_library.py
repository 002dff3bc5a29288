"""The models of an Ollama server: list, show, pull, push, remove.

Not the chat (`ollama`) and not what is in memory (`ollama_memory`). Goes through the `ollama` package where
that can do it, and keeps its traps from the caller: no time limits, errors in a stream with status -1,
exceptions of httpx, streams that end too soon.
"""

import asyncio
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
from shoal.models.ollama_info import DEFAULT_CONTEXT, is_cloud_name
from shoal.models.ollama_push import blob_path, check_system_is_read, hash_gguf, upload
from shoal.models.ollama_template import OllamaTemplate, reads_system, template_for

if TYPE_CHECKING:
    import ollama

__all__ = ["LibraryLimits", "ModelCard", "OllamaLibrary", "PullProgress", "StoredModel"]

T = TypeVar("T")
OnErrorLine = Callable[[str], ModelError]

CONNECT_ONLY = httpx.Timeout(None, connect=5.0)
"""For reading, `LibraryLimits` know what is being waited for."""
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

    async def push(
        self, model: str, gguf: Path, *, system: str | None = None, num_ctx: int = DEFAULT_CONTEXT
    ) -> None:
        """Make a model of a GGUF file. Its content is sent only where the server does not have it yet.

        Where Ollama knows no template for it, it gets one. The model is loaded and asked, to see in the
        server's own count that it reads system prompts; one that does not is removed again.

        Args:
            model: how Ollama shall call it.
            gguf: the file.
            system: its system prompt where a request has none.
            num_ctx: tokens to load it with; what its agents use saves a load.

        Raises:
            StorageError: the file cannot be read.
            StorageDamaged: it is no GGUF.
            RequestRefused: Ollama cannot make a model of it, or it would not read a system prompt.
            StreamBroken: it stopped before its end.
        """
        try:
            digest = await asyncio.to_thread(hash_gguf, gguf)
            with self._errors():
                there = await self._soon(self._http.head(blob_path(digest)))
                if not there.is_success:
                    await upload(self._http, gguf, digest, url=self._url)
        except OSError as error:
            raise StorageError(f"{gguf} cannot be read", why=str(error)) from error
        await self._create(model, gguf, digest, system, None)
        with self._errors(model):
            made = await self._soon(self._client.show(model))
        if "completion" not in (made.capabilities or ()):
            return
        if not reads_system(made.template or ""):
            await self._create(model, gguf, digest, system, await asyncio.to_thread(template_for, gguf))
        try:
            with self._errors(model):
                async with asyncio.timeout(self._limits.silence_s):
                    await check_system_is_read(self._http, model, num_ctx=num_ctx, url=self._url)
        except RequestRefused:
            await self.remove(model)
            raise

    async def _create(
        self, model: str, gguf: Path, digest: str, system: str | None, template: OllamaTemplate | None
    ) -> None:
        begun = self._client.create(
            model,
            files={gguf.name: digest},
            system=system,
            template=template.text if template else None,
            parameters={"stop": template.stops} if template else None,
            stream=True,
        )
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
