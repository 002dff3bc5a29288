"""The port to a memory that models share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shoal.core.port import ChatModel
from shoal.serving.task import Costs, Load

__all__ = ["MemoryHost", "Resident"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A load that is in memory."""

    load: Load
    size_bytes: int = 0
    """0 = unknown."""
    gpu_bytes: int | None = None
    """What of it is on a GPU; None = unknown."""

    @property
    def spilled(self) -> float:
        """The share that a GPU had no room for, in [0, 1]; 0 where there is no GPU."""
        if not self.gpu_bytes or not self.size_bytes:
            return 0.0
        return max(0.0, 1.0 - self.gpu_bytes / self.size_bytes)


class MemoryHost(Protocol):
    """An Ollama server, or the processes of the embedded engine. Raises `ModelError`s."""

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        """What a model needs in memory, and a guess of what that costs; None = nothing here: it works
        on another machine. Loads nothing.
        """
        ...

    async def resident(self) -> Sequence[Resident]:
        """What is in memory now, loads of others included."""
        ...

    async def load(self, load: Load) -> None:
        """Bring it into memory; returns when it can answer."""
        ...

    async def unload(self, load: Load) -> None:
        """Take it out of memory; returns when it is gone."""
        ...
