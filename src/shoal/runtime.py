"""The house's wiring: from settings to models, retrievers and the ledger.

One `LocalRuntime` belongs to one event loop, as its connections do.
"""

import asyncio
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.config import Settings, find_root, load_settings
from shoal.config_section import ModelAlias
from shoal.core.errors import ConfigError, LocalOnlyError, ModelMissing, UnknownName
from shoal.core.model_name import Engine, ModelName, parse_model_name
from shoal.core.port import ChatModel, Retriever
from shoal.engines import Engines, find_weights_file
from shoal.model_stack import LOOPBACK, ModelStack, Records, host_of
from shoal.models.network import build_client, build_transport
from shoal.models.ollama_library import OllamaLibrary
from shoal.models.ollama_memory import OllamaMemory
from shoal.serving.answer_store import AnswerStore
from shoal.serving.scheduled_model import ScheduledModel
from shoal.serving.schedulers import Limits, Schedulers
from shoal.specialists import Specialist
from shoal.tracing.cost import DEFAULT_PRICES, CostModel, Hardware
from shoal.tracing.export import Endpoint, Telemetry, build_telemetry
from shoal.tracing.forecast import Forecast
from shoal.tracing.ledger import Ledger
from shoal.tracing.spans import Spans

if TYPE_CHECKING:
    import httpx

    from shoal.retrieval.embedder import Embedder
    from shoal.retrieval.index import KnowledgeIndex

__all__ = ["ANSWERS", "LEDGER", "LocalRuntime"]

PROBE_S = 0.5
"""How long an Ollama may take to answer before `engine = "auto"` goes on without it."""
LEDGER, ANSWERS, SERVING = "ledger.db", "answers.db", "serving"
DAY_S = 86_400.0


class LocalRuntime:
    """Everything an agent needs, built when it is first asked for."""

    def __init__(self, settings: Settings, specialists: Iterable[Specialist] = ()) -> None:
        """`specialists`: those that will be asked. For any other one an engine that runs starts again."""
        self.settings = settings
        self._engines = Engines(settings, specialists, self._client)
        self._models: dict[ModelName, ChatModel] = {}
        self._given: dict[int, tuple[ChatModel, ChatModel]] = {}
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._retrievers: dict[str, asyncio.Task[KnowledgeIndex]] = {}
        self._engine: Engine | None = None
        self._ledger: Ledger | None = None

    @classmethod
    def default(cls) -> "LocalRuntime":
        """The one of the running event loop, with the current project's settings."""
        loop = asyncio.get_running_loop()
        if loop not in _defaults:
            _defaults[loop] = cls(load_settings(find_root()))
        return _defaults[loop]

    @property
    def ledger(self) -> Ledger:
        """Opened at its first use.

        Raises:
            StorageError: the data folder cannot be written.
        """
        if self._ledger is None:
            self._ledger = Ledger.open(self.settings.data_path / LEDGER)
        return self._ledger

    @cached_property
    def embedder(self) -> "Embedder":
        from shoal.retrieval.embedder import MiniLM

        return MiniLM()

    @cached_property
    def ollama_library(self) -> OllamaLibrary:
        """The models on the disk of the configured Ollama."""
        network = self.settings.network
        transport = build_transport(local_only=network.local_only, allowed_hosts=network.allowed_hosts)
        return OllamaLibrary(self.settings.ollama_url, transport=transport)

    @cached_property
    def schedulers(self) -> Schedulers:
        """The queues in front of every host, and what is in its memory."""
        serving = self.settings.serving
        limits = Limits(
            memory_gb=serving.memory_gb,
            parallel=serving.parallel,
            max_wait_s=serving.max_wait_s,
            max_queue=serving.max_queue,
            load_s=serving.load_s,
        )
        return Schedulers(limits, self.settings.data_path / SERVING)

    @cached_property
    def answers(self) -> AnswerStore:
        """The answer cache."""
        limits = self.settings.cache
        return AnswerStore(
            self.settings.data_path / ANSWERS,
            max_bytes=int(limits.max_mb * 1e6),
            max_age_s=limits.max_age_days * DAY_S,
        )

    @cached_property
    def ollama_memory(self) -> OllamaMemory:
        """What the configured Ollama has in memory."""
        return OllamaMemory(self._client(self.settings.ollama_url), load_s=self.settings.serving.load_s)

    @cached_property
    def _stack(self) -> ModelStack:
        return ModelStack(
            self.settings,
            schedulers=self.schedulers,
            answers=self.answers,
            records=Records(ledger=self.ledger, costs=self.costs, spans=self.spans),
            client=self._client,
        )

    @property
    def queues(self) -> Mapping[str, ScheduledModel]:
        """Of the models made so far, by name."""
        return self._stack.queues

    @property
    def spans(self) -> Spans:
        return self._telemetry.spans

    @cached_property
    def costs(self) -> CostModel:
        """Prices of remote models, electricity and hardware of this machine."""
        power = self.settings.power
        return CostModel(
            prices={**DEFAULT_PRICES, **self.settings.prices},
            usd_per_kwh=power.tariff_usd_per_kwh,
            hardware=Hardware(
                price_usd=power.hardware_usd,
                residual_usd=power.residual_usd,
                lifetime_h=power.lifetime_h,
                utilisation=power.utilisation,
            )
            if power.hardware_usd > 0
            else None,
        )

    async def resolve(self, name: str) -> ModelName:
        """An alias or `engine:model` as engine and model.

        Raises:
            UnknownName: no such alias or engine.
            ConfigError: the alias names no model for the engine in use.
        """
        if ":" in name:
            return parse_model_name(name)
        alias = self.settings.models.get(name)
        if alias is None:
            raise UnknownName(
                "model alias",
                name,
                self.settings.models,
                mend=f'in shoal.toml: [models] {name} = "ollama:..."',
            )
        if isinstance(alias, str):
            return parse_model_name(alias)
        return self._of_alias(name, alias, await self._engine_in_use())

    async def model(self, model: str | ChatModel, specialist: Specialist | None = None) -> ChatModel:
        """The model with all its wrappers; the same object for the same name.

        With a `specialist` it is that one's base, and requests to it may ask for the adapter.

        Raises:
            ConfigError: see `resolve`; or the engine lacks a setting, such as a URL; or the specialist was
                trained on other weights.
            LocalOnlyError: the model is on another machine and local_only is set.
        """
        if specialist is not None:
            base = await self.model(specialist.base)
            await self._engines.serve(specialist)
            return base
        if not isinstance(model, str):
            if id(model) not in self._given:
                # The model itself is kept as well, so that its id cannot become another one's.
                self._given[id(model)] = (model, self._stack.wrap_given(model))
            return self._given[id(model)][1]
        name = await self.resolve(model)
        if name not in self._models:
            await self._engines.prepare(name)
        if name not in self._models:  # somebody else may have built it meanwhile
            adapter, host = self._engines.build(name), self._engines.host(name)
            self._models[name] = self._stack.wrap(adapter, host=host, engine=name.engine)
        return self._models[name]

    async def retriever(self, knowledge: str) -> Retriever:
        """The index of a folder of documents, brought up to date at its first use.

        Raises:
            ConfigError: there is no such folder.
            StorageError: the index cannot be read or written.
        """
        task = self._retrievers.get(knowledge)
        if task is None or (task.done() and not task.cancelled() and task.exception() is not None):
            task = self._retrievers[knowledge] = asyncio.create_task(self._open_index(knowledge))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Give back processes, connections and files. Idempotent; models given by the caller stay open.

        One that cannot be closed does not keep the others open.
        """
        indexes, library = list(self._retrievers.values()), self.__dict__.pop("ollama_library", None)
        telemetry, ledger = self.__dict__.pop("_telemetry", None), self._ledger
        schedulers, answers = self.__dict__.pop("schedulers", None), self.__dict__.pop("answers", None)
        for wired in ("ollama_memory", "_stack"):  # their connections are closed below
            self.__dict__.pop(wired, None)
        models, clients = list(self._models.values()), list(self._clients.values())
        for kept in (self._models, self._given, self._clients, self._retrievers):
            kept.clear()
        self._ledger = None
        async with AsyncExitStack() as closing:  # the last one pushed is closed first
            for part in (ledger, answers, telemetry, library, *clients, *models, schedulers):
                if part is not None:
                    closing.push_async_callback(part.aclose)
            for task in indexes:
                closing.push_async_callback(_close_index, task)

    async def ollama_version(self) -> str | None:
        """What the Ollama at the configured address says it is; None = nobody answers, or local_only forbids.

        Raises:
            ConfigError: the address is none.
        """
        import httpx

        client = self._client(self.settings.ollama_url)
        try:
            async with asyncio.timeout(PROBE_S):
                reply = await client.get("/api/version")
                return str(reply.raise_for_status().json()["version"])
        except (httpx.HTTPError, TimeoutError, LocalOnlyError, ValueError, KeyError, TypeError):
            return None

    def knowledge_digest(self, knowledge: str) -> str | None:
        """Content hash of a folder of documents, all of which are read; None = they cannot be."""
        from shoal.retrieval.document import digest_documents

        return digest_documents(self._knowledge_folder(knowledge))

    def _knowledge_folder(self, knowledge: str) -> Path:
        return (self.settings.root or Path()) / knowledge

    async def _open_index(self, knowledge: str) -> "KnowledgeIndex":
        from shoal.retrieval.index import open_index

        folder = self._knowledge_folder(knowledge)
        if not folder.is_dir():
            raise ConfigError(
                f"there is no knowledge folder {folder}",
                why="an agent looks passages up in it",
                mend=f"mkdir -p {folder}, and put .md or .txt files into it",
            )
        return await open_index(folder, self.settings.data_path / "index", self.embedder)

    async def _engine_in_use(self) -> Engine:
        if self._engine is None:
            wanted = self.settings.engine
            if wanted == "auto":
                wanted = "ollama" if await self.ollama_version() is not None else "embedded"
            self._engine = wanted
        return self._engine

    def _of_alias(self, name: str, alias: ModelAlias, engine: Engine) -> ModelName:
        model: str | None = getattr(alias, engine)
        if model is None:
            raise ConfigError(
                f'the alias "{name}" has no model for the engine {engine}',
                mend=f'in shoal.toml: [models.{name}] {engine} = "..."',
            )
        return ModelName(engine, model)

    async def forecast(self, model: str | ChatModel) -> Forecast:
        """What calls of a model may cost.

        Raises:
            ConfigError: see `resolve`.
        """
        name = model.name if not isinstance(model, str) else str(await self.resolve(model))
        return self._stack.forecast(name)

    @cached_property
    def _telemetry(self) -> Telemetry:
        url = self.settings.tracing.otlp_endpoint
        if url is None:
            return build_telemetry(None)
        network = self.settings.network
        # The exporter opens sockets of its own, behind the guard of our HTTP clients.
        if network.local_only and host_of(url) not in {*LOOPBACK, *network.allowed_hosts}:
            raise LocalOnlyError(
                f"spans would leave this machine for {url}",
                why="local_only is set",
                mend="in shoal.toml: remove otlp_endpoint, or add its host to network.allowed_hosts",
            )
        return build_telemetry(Endpoint(url=url))

    def _client(self, url: str) -> "httpx.AsyncClient":
        if url not in self._clients:
            network = self.settings.network
            key = self.settings.openai_key if url == self.settings.openai.url else None
            self._clients[url] = build_client(
                url,
                local_only=network.local_only,
                allowed_hosts=network.allowed_hosts,
                headers={"Authorization": f"Bearer {key}"} if key else None,
            )
        return self._clients[url]

    def weights(self, name: ModelName) -> Path:
        """File of an embedded model.

        Raises:
            ModelMissing: packaged weights that were never fetched, or a file that is not there.
            UnknownName: neither a .gguf file nor packaged.
        """
        path = find_weights_file(name, self.settings)
        if not path.is_file():
            mend = "" if name.model.endswith(".gguf") else f"shoal models pull {name}"
            raise ModelMissing(f"the weights of {name} are not on this machine", why=f"no {path}", mend=mend)
        return path


async def _close_index(task: "asyncio.Task[KnowledgeIndex]") -> None:
    task.cancel()
    (index,) = await asyncio.gather(task, return_exceptions=True)
    if not isinstance(index, BaseException):
        await index.aclose()


_defaults: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LocalRuntime]" = weakref.WeakKeyDictionary()
