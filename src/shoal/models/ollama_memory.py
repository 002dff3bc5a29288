"""What an Ollama server has in memory: look, load, unload.

Not the models on its disk (`ollama_library`) and not the chat (`ollama`). Ollama has no endpoint for this: a
`/api/generate` without a prompt loads, and one with `keep_alive` 0 unloads.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, final

import httpx
from pydantic import BaseModel, ValidationError

from shoal.core.errors import DeadlineExceeded, EngineDown, Overloaded
from shoal.models.ollama_error import from_status, from_transport
from shoal.models.ollama_info import tagged

__all__ = ["OllamaMemory", "RunningModel"]

LOOK_UP_S = 30.0
"""For what costs the server no more than a look at its tables."""
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningModel:
    """A model in memory."""

    name: str
    digest: str | None
    size_bytes: int | None
    """Weights, caches and buffers."""
    vram_bytes: int | None
    """What of it is on GPUs. Less than `size_bytes`: the CPU works too, and much more slowly."""
    num_ctx: int | None


class _Running(BaseModel):
    model: str
    digest: str | None = None
    size: int | None = None
    size_vram: int | None = None
    context_length: int | None = None


class _Ps(BaseModel):
    models: list[_Running] = []


@final
class OllamaMemory:
    """The memory of one server. Every method raises `EngineDown` when no Ollama answers there."""

    def __init__(self, client: httpx.AsyncClient, *, load_s: float = 300.0, unload_s: float = 30.0) -> None:
        """Nothing is asked here.

        Args:
            client: to the server, its base_url set. Stays the caller's to close.
            load_s: how long a load may take.
            unload_s: how long a model may take to be gone.
        """
        self._client = client
        self._load_s = load_s
        self._unload_s = unload_s

    async def ps(self) -> tuple[RunningModel, ...]:
        """What is in memory; models on their way out are still among them."""
        async with self._errors(), asyncio.timeout(LOOK_UP_S):
            reply = await self._client.get("/api/ps")
            if not reply.is_success:
                raise from_status(reply.status_code, reply.content, model="", url=self._url)
            found = _Ps.model_validate_json(reply.content)
        return tuple(
            RunningModel(
                name=each.model,
                digest=each.digest,
                size_bytes=each.size,
                vram_bytes=each.size_vram,
                num_ctx=each.context_length,
            )
            for each in found.models
        )

    async def load(self, model: str, *, num_ctx: int) -> None:
        """Bring a model into memory; returns when it can answer.

        Raises:
            DeadlineExceeded: that takes longer than `load_s`.
            ModelMissing: the server has no such model.
            LoadFailed: it cannot be loaded.
            Overloaded: too many others wait for a load.
        """
        try:
            async with asyncio.timeout(self._load_s), self._errors():
                await self._post(model, {"options": {"num_ctx": num_ctx}})
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{model} was not loaded within {self._load_s:g} s",
                phase="load",
                limit_s=self._load_s,
                mend="raise load_s in [serving] of shoal.toml",
            ) from error

    async def unload(self, model: str) -> None:
        """Take a model out of memory and wait until it is gone.

        Let its requests end before, and send none meanwhile that carries a keep_alive: that would keep a
        model on its way out for ever (https://github.com/ollama/ollama/issues/17408).

        Raises:
            ModelMissing: the server has no such model.
            Overloaded: it is still in use after `unload_s`.
        """
        async with self._errors(), asyncio.timeout(LOOK_UP_S):
            await self._post(model, {"keep_alive": 0})
        try:
            async with asyncio.timeout(self._unload_s):
                while tagged(model) in {tagged(each.name) for each in await self.ps()}:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)  # Ollama tells nobody when a model is gone
        except TimeoutError as error:
            raise Overloaded(
                f"{model} is still in memory",
                why=f"requests have used it for the {self._unload_s:.0f} s since it was to go",
                mend=f"ollama stop {model}",
            ) from error

    @property
    def _url(self) -> str:
        return str(self._client.base_url)

    async def _post(self, model: str, body: dict[str, Any]) -> None:
        reply = await self._client.post("/api/generate", json={"model": model, "stream": False, **body})
        if not reply.is_success:
            raise from_status(reply.status_code, reply.content, model=model, url=self._url)

    @asynccontextmanager
    async def _errors(self) -> AsyncGenerator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise from_transport(error, url=self._url) from error
        except TimeoutError as error:
            mend = "stop Ollama and start it again: `ollama serve`"
            raise EngineDown(f"Ollama at {self._url} has gone silent", mend=mend) from error
        except ValidationError as error:
            mend = "set url in [ollama] of shoal.toml, or OLLAMA_HOST"
            raise EngineDown(
                f"what answers at {self._url} is not Ollama", why=str(error), mend=mend
            ) from error
