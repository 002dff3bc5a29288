"""A version as a model of its own in Ollama, which applies no adapters: merged with its base, and pushed."""

import asyncio
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from shoal.runtime import LocalRuntime
    from shoal.specialists import Specialist

__all__ = ["push_merged"]

KIND = "Q8_0"
"""How it is quantised: near enough to base and adapter that answers stay the same."""


async def push_merged(runtime: "LocalRuntime", trained: "Specialist", served: "Specialist") -> None:
    """Merge what was `trained` and put it into Ollama as the model that `served` asks.

    Raises:
        ConfigError: the package for GGUF files is missing, or the base's weights are not those it learnt on.
        ModelMissing: the base's weights are not on this machine.
        StorageError: there is no room for the merged file.
        EngineDown: no Ollama answers.
        RequestRefused: Ollama cannot make a model of it.
    """
    from shoal.core.file_digest import hash_file
    from shoal.engines import wrong_base

    if importlib.util.find_spec("gguf") is None:
        raise ConfigError(
            f"{trained.key} cannot be merged for Ollama",
            why="there is no gguf here, the package that writes such files",
            mend="pip install 'shoal[train]'",
        )
    assert trained.adapter is not None, "what is merged already is not merged again"
    weights = runtime.weights(await runtime.resolve(trained.base))
    digest = await asyncio.to_thread(hash_file, weights)
    if digest != trained.base_digest:
        raise wrong_base(trained, digest)
    from shoal.training.gguf_merge import merge_adapter

    try:
        with tempfile.TemporaryDirectory(prefix="shoal-merged-") as folder:
            merged = Path(folder) / "merged.gguf"
            await asyncio.to_thread(merge_adapter, weights, trained.adapter, merged, KIND)
            await runtime.ollama_library.push(served.base.removeprefix("ollama:"), merged)
    except OSError as error:
        raise StorageError(
            f"{trained.key} cannot be merged", why=str(error), mend="set TMPDIR to a larger disk"
        ) from error
