"""An Ollama server as a `MemoryHost`."""

from collections.abc import Sequence
from typing import final

from shoal.core.port import ChatModel
from shoal.models.ollama_info import tagged
from shoal.models.ollama_memory import OllamaMemory
from shoal.serving.host import Resident
from shoal.serving.task import Costs, Load

__all__ = ["OllamaHost"]

BEYOND_WEIGHTS = 1.3
"""Guess of what a model takes in memory, in times of its file: caches and buffers come on top."""


@final
class OllamaHost:
    """Loads are known by the digest that the server lists, so that two names of one model are one load."""

    def __init__(self, url: str, memory: OllamaMemory) -> None:
        self._url = url
        self._memory = memory

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        """See `MemoryHost.identify`.

        Raises:
            ModelMissing: the model is not pulled.
            EngineDown: nobody answers, or something that is not Ollama.
            ConfigError: the server is too old.
        """
        info = await model.describe()
        if info.remote:
            return None
        name = model.name.partition(":")[2]
        load = Load(host=self._url, base=info.digest or tagged(name), model=name, num_ctx=info.num_ctx)
        return load, Costs(size_bytes=int((info.size_bytes or 0) * BEYOND_WEIGHTS))

    async def resident(self) -> Sequence[Resident]:
        """See `MemoryHost.resident`.

        Raises:
            EngineDown: nobody answers.
        """
        return [
            Resident(
                load=Load(
                    host=self._url,
                    base=each.digest or tagged(each.name),
                    model=each.name,
                    num_ctx=each.num_ctx,
                ),
                size_bytes=each.size_bytes or 0,
                gpu_bytes=each.vram_bytes,
            )
            for each in await self._memory.ps()
        ]

    async def load(self, load: Load) -> None:
        """See `MemoryHost.load`.

        Raises:
            ModelError: it cannot be loaded.
        """
        assert load.num_ctx is not None, "identify says it"
        await self._memory.load(load.model, num_ctx=load.num_ctx)

    async def unload(self, load: Load) -> None:
        """See `MemoryHost.unload`.

        Raises:
            ModelError: it stays.
        """
        await self._memory.unload(load.model)
