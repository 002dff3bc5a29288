"""From a model's name to the adapter that asks it: the only file naming engines. No wrappers, no queues.

One embedded engine serves all specialists on its base. Those that are known beforehand are there when it
starts; for another one it is started again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from shoal.config import Settings
from shoal.core.errors import ConfigError
from shoal.core.file_digest import hash_file
from shoal.core.model_name import ModelName, parse_model_name
from shoal.core.port import ChatModel
from shoal.specialists import Specialist

if TYPE_CHECKING:
    import httpx

    from shoal.models.embedded import EmbeddedModel

__all__ = ["Engines", "find_weights_file", "wrong_base"]


class Engines:
    """Builds models; those of the embedded engine are kept, to serve specialists."""

    def __init__(
        self,
        settings: Settings,
        specialists: Iterable[Specialist],
        client: "Callable[[str], httpx.AsyncClient]",
    ) -> None:
        """`specialists`: all that are going to be asked, as far as they are known."""
        self._settings = settings
        self._client = client
        self._embedded: dict[ModelName, EmbeddedModel] = {}
        self._known: defaultdict[ModelName, list[Specialist]] = defaultdict(list)
        for specialist in (one for one in specialists if one.adapter is not None):
            self._known[parse_model_name(specialist.base)].append(specialist)

    def host(self, name: ModelName) -> str:
        """What models share that fail and wait together: an address, or the engine's own process.

        Raises:
            ConfigError: the engine has no address.
        """
        match name.engine:
            case "ollama":
                return self._settings.ollama_url
            case "embedded":
                return str(name)
            case "openai":
                return self._openai_url(name)
            case _:
                assert_never(name.engine)

    async def prepare(self, name: ModelName) -> None:
        """Do beforehand what would keep `build` busy: see which weights there are."""
        weights = find_weights_file(name, self._settings) if name in self._known else None
        if weights is not None and weights.is_file():
            await asyncio.to_thread(hash_file, weights)

    def build(self, name: ModelName) -> ChatModel:
        """A model on its engine; nothing is asked or started.

        Raises:
            ConfigError: the engine has no address.
            UnknownName: no packaged weights have this name.
        """
        settings = self._settings
        match name.engine:
            case "ollama":
                from shoal.models.ollama import OllamaModel

                return OllamaModel(
                    name.model,
                    self._client(self.host(name)),
                    num_ctx=settings.ollama.num_ctx,
                    local_only=settings.network.local_only,
                )
            case "embedded":
                return self._build_embedded(name)
            case "openai":
                from shoal.models.openai import OpenAIModel

                return OpenAIModel(
                    name.model,
                    self._client(self.host(name)),
                    num_ctx=settings.openai.num_ctx,
                    dialect=settings.openai.dialect,
                )
            case _:
                assert_never(name.engine)

    async def serve(self, specialist: Specialist) -> None:
        """See to it that requests to its base, which was built before, may ask for a specialist.

        Raises:
            ConfigError: it was trained on other weights than the base has.
        """
        if specialist.adapter is None:
            return
        name = parse_model_name(specialist.base)
        weights = find_weights_file(name, self._settings)
        if not weights.is_file():
            return  # the model says so when it is asked
        digest = await asyncio.to_thread(hash_file, weights)
        if digest != specialist.base_digest:
            raise wrong_base(specialist, digest)
        if specialist not in self._known[name]:
            self._known[name].append(specialist)
        # Also the others: their weights may not have been there when the model was built.
        self._embedded[name].serve(self._adapters(name, weights))

    def _build_embedded(self, name: ModelName) -> ChatModel:
        from shoal.models.embedded import EmbeddedModel
        from shoal.models.embedded_settings import EngineSettings

        settings = self._settings.embedded
        weights = find_weights_file(name, self._settings)
        engine = EngineSettings(
            gguf=weights,
            num_ctx=settings.num_ctx,
            slots=settings.parallel,
            threads=settings.threads,
            adapters=self._adapters(name, weights),
        )
        self._embedded[name] = EmbeddedModel(str(name), engine)
        return self._embedded[name]

    def _adapters(self, name: ModelName, weights: Path) -> dict[str, Path]:
        """Of the known specialists that were trained on these weights."""
        known = self._known.get(name, [])
        digest = hash_file(weights) if known and weights.is_file() else None
        return {
            one.key: one.adapter for one in known if one.adapter is not None and one.base_digest == digest
        }

    def _openai_url(self, name: ModelName) -> str:
        if self._settings.openai.url is None:
            raise ConfigError(
                f"{name} has no address",
                why="there is no default, so that nothing goes to a cloud by accident",
                mend='in shoal.toml: [openai] url = "https://.../v1"',
            )
        return self._settings.openai.url


def find_weights_file(name: ModelName, settings: Settings) -> Path:
    """Where an embedded model's weights are or will be.

    Raises:
        UnknownName: neither a .gguf file nor packaged.
    """
    from shoal.models.weights import PACKAGED, find_weights

    if name.model.endswith(".gguf"):
        return (settings.root or Path()) / Path(name.model).expanduser()
    folder = settings.weights_path
    return find_weights(name.model, folder) or folder / PACKAGED[name.model].file


def wrong_base(specialist: Specialist, digest: str) -> ConfigError:
    """The error for a specialist whose base has other weights, with `digest`, than it was trained on."""
    agent = specialist.key.partition("@")[0]
    return ConfigError(
        f"{specialist.key} does not fit {specialist.base}",
        why=f"it was trained on weights with {specialist.base_digest}, and these have {digest}",
        mend=f"shoal rollback {agent}, or train it on these: shoal specialise {agent} --data ROWS",
    )
