"""The sections of shoal.toml: what each may say, in which unit, and what holds when it says nothing."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

__all__ = [
    "CacheSettings",
    "EmbeddedSettings",
    "ModelAlias",
    "NetworkSettings",
    "OllamaSettings",
    "OpenAISettings",
    "PowerSettings",
    "ServingSettings",
    "TracingSettings",
]

Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelAlias(Section):
    """One alias, one model an engine: whichever engine is in use decides."""

    embedded: str | None = None
    """A packaged model (`shoal models list`), or the path of a .gguf file in the project."""
    ollama: str | None = None
    """As `ollama list` names it."""
    openai: str | None = None
    """As the server at openai.url names it."""


class OllamaSettings(Section):
    url: str | None = None
    """Default: OLLAMA_HOST, else http://127.0.0.1:11434."""
    num_ctx: int | None = Field(default=None, ge=256)
    """Context window in tokens, the same for every request: another value would reload the model.
    Default: 4096, or what a model was trained on when that is less."""
    parallel: int = Field(default=2, ge=1)
    """Requests in flight per model; more wait in Shoal's own bounded queue."""


class OpenAISettings(Section):
    url: str | None = None
    """Base URL, e.g. "https://host/v1". There is no default: nothing goes to a cloud by accident."""
    api_key: SecretStr | None = None
    """Better in the environment: SHOAL_OPENAI__API_KEY, or OPENAI_API_KEY."""
    dialect: Literal["local", "openai", "reasoning"] = "local"
    """local: vLLM, llama-server, LM Studio. openai: the cloud's chat models. reasoning: its thinking ones."""
    num_ctx: int | None = Field(default=None, ge=256)
    """Context window in tokens, where the server does not refuse what is too long by itself."""
    parallel: int = Field(default=8, ge=1)
    """Requests in flight per model; more wait in Shoal's own bounded queue."""


class EmbeddedSettings(Section):
    num_ctx: int = Field(default=4096, ge=256)
    """Context window in tokens of each slot."""
    parallel: int = Field(default=2, ge=1)
    """Slots: requests computed side by side."""
    threads: int | None = Field(default=None, ge=1)
    """Default: cores - 1. One busy core beside generation costs two thirds of the speed."""


class NetworkSettings(Section):
    local_only: bool = False
    """Refuse, where sockets open, every address that is not this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that count as local all the same, e.g. a server in your own rack."""


class ServingSettings(Section):
    memory_gb: Positive | None = None
    """What loaded models may take together, in units of 10^9 bytes. Default: 90 % of the GPUs' memory, else
    70 % of main memory; the embedded engine always counts main memory."""
    parallel: int | None = Field(default=None, ge=1)
    """Calls computed at once over all models of an engine. Default: with a GPU no limit but each model's;
    without one, a model's own `parallel`, or a quarter of the cores if that is more."""
    max_wait_s: float = Field(default=30.0, ge=0)
    """Longest time for which calls to another model or agent may be preferred because they need no load. 0 =
    strictly in order of arrival."""
    max_queue: int = Field(default=10_000, ge=0)
    """Requests that may wait per model before new ones are refused."""
    load_s: Positive = 300.0
    """To load the model, on top of first_token_s; for one not asked in the last five minutes."""
    first_token_s: Positive = 120.0
    """From asking a loaded model to its first token."""
    idle_s: Positive = 60.0
    """Longest silence between two tokens."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Tries per call when the failure is one that retrying can mend."""


class CacheSettings(Section):
    """The answer cache, for agents with cache=True."""

    max_mb: Positive = 256.0
    """Of answers kept, in units of 10^6 bytes; the least recently used go first."""
    max_age_days: Positive = 30.0
    """An older answer is not given any more."""


class PowerSettings(Section):
    """What a local call costs: electricity and hardware. Defaults are a desktop's; say yours."""

    tariff_usd_per_kwh: float = Field(default=0.30, ge=0)
    """US dollars per kilowatt hour; an assumption, near what a household in the European Union pays."""
    tdp_w: Positive = 65.0
    """Watts with all cores at work. For the estimate, where no counter can be read."""
    idle_w: float = Field(default=15.0, ge=0)
    """Watts without work. Not counted as cost: the machine is on anyway."""
    hardware_usd: float = Field(default=1000.0, ge=0)
    """Price of the machine; 0 = do not count it."""
    residual_usd: float = Field(default=100.0, ge=0)
    """What it can be sold for in the end."""
    lifetime_h: Positive = 26_280.0
    """Hours from buying to selling: three years."""
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of that time in which it works. Little used hardware makes dear answers."""


class TracingSettings(Section):
    otlp_endpoint: str | None = None
    """OTLP over HTTP, e.g. "http://127.0.0.1:4318". None: no spans leave the process."""
