"""The child processes of the embedded engine as a `MemoryHost`: one a base model, adapters included."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

from shoal.core.port import ChatModel
from shoal.models.embedded import EmbeddedModel
from shoal.serving.host import Resident
from shoal.serving.task import Costs, Load

__all__ = ["EmbeddedHost"]

HOST = "embedded"
BEYOND_WEIGHTS_BYTES = 150_000_000
"""Guess of caches and buffers; see docs/serving.md."""


@final
class EmbeddedHost:
    """All embedded models of this process. Those of other processes are not known here."""

    def __init__(self) -> None:
        self.models: dict[Load, EmbeddedModel] = {}

    async def identify(self, model: ChatModel) -> tuple[Load, Costs] | None:
        """See `MemoryHost.identify`.

        Raises:
            ModelMissing: there is no such file.
        """
        assert isinstance(model, EmbeddedModel)
        load = Load(host=HOST, base=model.name, model=model.name)
        self.models[load] = model
        return load, Costs(size_bytes=model.file_bytes() + BEYOND_WEIGHTS_BYTES)

    async def resident(self) -> Sequence[Resident]:
        """See `MemoryHost.resident`. Sizes are what the kernel counts as theirs."""
        return [
            Resident(load=load, size_bytes=_resident_bytes(model.pid))
            for load, model in self.models.items()
            if model.pid is not None
        ]

    async def load(self, load: Load) -> None:
        """See `MemoryHost.load`.

        Raises:
            ShoalError: it cannot be loaded.
        """
        await self.models[load].load()

    async def unload(self, load: Load) -> None:
        """See `MemoryHost.unload`."""
        await self.models[load].aclose()


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0  # no such file on this system, or the process has just ended
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
