"""What an embedded engine is started with, and whether that can work. Starts nothing itself."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shoal.core.errors import ConfigError, ModelMissing, StorageDamaged

__all__ = ["EngineSettings", "check_files", "check_installed", "usable_cores"]

GGUF_MAGIC = b"GGUF"
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of quota or "max", and the period they are meant for (cgroup v2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """One engine. A change of any of it needs another child process."""

    gguf: Path
    num_ctx: int = 4096
    """Tokens of prompt and answer together, per slot."""
    slots: int = 2
    """Answers computed at once. Memory grows with `slots * num_ctx`."""
    threads: int | None = None
    """None = one less than the cores this process may use: generation at full width collapses when
    anything else runs."""
    adapters: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """LoRA adapters (GGUF) that requests may ask for: what `ChatRequest.adapter` says -> the file.
    They share the base's weights and are switched per request; each adds a slot, so that it need not
    read its prompt again after another one's turn. The slots share the context of `slots` of them."""

    @property
    def total_slots(self) -> int:
        return self.slots + len(self.adapters)


def check_installed() -> None:
    """See that the engine can be started at all, importing nothing.

    Raises:
        ConfigError: it is not installed, or the system has no Unix sockets.
    """
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
    """See that base and adapters are there and are GGUFs.

    Raises:
        ModelMissing: there is no such file.
        StorageDamaged: it is something else.
    """
    pull = f"shoal models pull {name}"
    for path in (settings.gguf, *settings.adapters.values()):
        if not path.is_file():
            raise ModelMissing(
                f"{name}: there is no file {path}",
                why="it was never fetched, or was moved",
                mend=pull if path == settings.gguf else f"put the adapter at {path}",
            )
        with path.open("rb") as file:
            if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise StorageDamaged(
                    f"{name}: {path} is not a GGUF file",
                    why="it does not begin with the four letters every GGUF begins with",
                    mend=f"rm {path}" + (f" && {pull}" if path == settings.gguf else ""),
                )


def usable_cores() -> int:
    """Cores this process may keep busy: its affinity, and a container's quota if that is less."""
    if sys.platform != "linux":
        return os.cpu_count() or 2
    cores = len(os.sched_getaffinity(0))
    if CPU_QUOTA.is_file():
        quota, period = CPU_QUOTA.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores
