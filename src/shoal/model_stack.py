"""What stands around every model, whatever its engine.

Outermost first: answer cache, retry, breakers, recording, scheduler, deadlines. Not how a model is found or
built (`engines`), nor when its connections are closed (`runtime`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shoal.config import Settings
from shoal.core.port import ChatModel
from shoal.models.breaker import Breaker, BreakerModel, host_breaker, model_breaker
from shoal.models.deadline import DeadlineModel, Deadlines
from shoal.models.ollama_info import is_cloud_name
from shoal.models.retry import RetryingModel
from shoal.serving.answer_store import AnswerStore
from shoal.serving.cached_model import CachedModel
from shoal.serving.scheduled_model import ScheduledModel
from shoal.serving.scheduler import Scheduler
from shoal.serving.schedulers import Schedulers
from shoal.tracing.cost import CostModel
from shoal.tracing.energy import EnergyMeter, Power
from shoal.tracing.energy_counter import find_meter
from shoal.tracing.forecast import Forecast
from shoal.tracing.ledger import Ledger
from shoal.tracing.recorded_model import RecordedModel, Recorder
from shoal.tracing.spans import Spans

if TYPE_CHECKING:
    import httpx

__all__ = ["LOOPBACK", "ModelStack", "Records", "host_of"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
FUNCTION_THREADS = 4
"""Functions run side by side; they share the cores with everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Where calls are written down, and at what prices."""

    ledger: Ledger
    costs: CostModel
    spans: Spans


class ModelStack:
    """Puts models behind their host's queue, watches them, and writes down what their calls took."""

    def __init__(
        self,
        settings: Settings,
        *,
        schedulers: Schedulers,
        answers: AnswerStore,
        records: Records,
        client: "Callable[[str], httpx.AsyncClient]",
    ) -> None:
        self._settings = settings
        self._schedulers = schedulers
        self._answers = answers
        self._records = records
        self._client = client
        self._breakers: dict[str, Breaker] = {}
        self._meters: dict[str, EnergyMeter | None] = {}
        self.queues: dict[str, ScheduledModel] = {}
        """Of the models wrapped so far, by name."""

    def wrap(self, adapter: ChatModel, *, host: str, engine: str) -> ChatModel:
        """`host`: what models share that fail and wait together (see `Engines.host`)."""
        return self._wrap(adapter, self._scheduler(host, engine), host=host, engine=engine)

    def wrap_given(self, model: ChatModel) -> ChatModel:
        """One that the caller made: what it shares with others is not known, so it has a queue of its own."""
        queue, engine = self._schedulers.plain(model.name), model.name.partition(":")[0]
        return self._wrap(model, queue, host=model.name, engine=engine)

    def _wrap(self, adapter: ChatModel, scheduler: Scheduler, *, host: str, engine: str) -> ChatModel:
        serving = self._settings.serving
        deadlines = Deadlines(
            load_s=serving.load_s, first_token_s=serving.first_token_s, idle_s=serving.idle_s
        )
        bounded, parallel = DeadlineModel(adapter, deadlines), self._parallel(engine)
        scheduled = ScheduledModel(bounded, scheduler, parallel=parallel, engine=adapter)
        self.queues[adapter.name] = scheduled
        kept = self._records
        recorder = Recorder(ledger=kept.ledger, costs=kept.costs, meter=self._meter(engine), spans=kept.spans)
        recorded = RecordedModel(scheduled, recorder, remote=self._is_remote(adapter.name))
        breaker = self._breakers.setdefault(host, host_breaker(host))
        watched = BreakerModel(BreakerModel(recorded, model_breaker(adapter.name)), breaker)
        return CachedModel(RetryingModel(watched, attempts=serving.attempts), self._answers, recorder)

    def forecast(self, name: str) -> Forecast:
        """What calls of the model `engine:model` may cost."""
        watts = self._settings.power.tdp_w if self._meter(name.partition(":")[0]) else None
        return Forecast(model=name, remote=self._is_remote(name), costs=self._records.costs, watts=watts)

    def _scheduler(self, host: str, engine: str) -> Scheduler:
        parallel = self._parallel(engine)
        match engine:
            case "ollama":
                return self._schedulers.ollama(
                    host, self._client(host), parallel=parallel, is_here=host_of(host) in LOOPBACK
                )
            case "embedded":
                return self._schedulers.embedded(parallel=parallel)
            case _:
                return self._schedulers.plain(host)

    def _parallel(self, engine: str) -> int:
        match engine:
            case "ollama":
                return self._settings.ollama.parallel
            case "embedded":
                return self._settings.embedded.parallel
            case "openai":
                return self._settings.openai.parallel
            case _:
                return FUNCTION_THREADS

    def _is_remote(self, name: str) -> bool:
        engine, _, model = name.partition(":")
        match engine:
            case "openai":
                return host_of(self._settings.openai.url or "") not in LOOPBACK
            case "ollama":
                return host_of(self._settings.ollama_url) not in LOOPBACK or is_cloud_name(model)
            case _:
                return False

    def _meter(self, engine: str) -> EnergyMeter | None:
        if engine not in self._meters:
            power = self._settings.power
            estimate = Power(tdp_w=power.tdp_w, idle_w=power.idle_w)
            self._meters[engine] = find_meter(
                gpu=engine == "ollama", power=estimate, idle_w=power.idle_w, slots=self._parallel(engine)
            )
        return self._meters[engine]


def host_of(url: str) -> str:
    """Without scheme and port; "" where there is none."""
    return urlsplit(url).hostname or ""
