"""Settings: shoal.toml, then SHOAL_* variables over it. The only reader of the environment.

Components never see this module: the composition root reads the settings and hands values down.
"""

import os
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shoal.core.errors import ConfigError, UnknownName
from shoal.router.escalation import Escalation
from shoal.tracing.cost import Price

__all__ = ["ModelAlias", "Settings", "find_root", "load_settings"]

FILE = "shoal.toml"
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelAlias(_Section):
    """One alias, one model an engine: whichever engine is in use decides."""

    embedded: str | None = None
    """A packaged model (`shoal models list`), or the path of a .gguf file in the project."""
    ollama: str | None = None
    """As `ollama list` names it."""
    openai: str | None = None
    """As the server at openai.url names it."""


class OllamaSettings(_Section):
    url: str | None = None
    """Default: OLLAMA_HOST, else http://127.0.0.1:11434."""
    num_ctx: int = Field(default=4096, ge=256)
    """Context window in tokens, the same for every request: another value would reload the model."""
    parallel: int = Field(default=2, ge=1)
    """Requests in flight per model; more wait in Shoal's own bounded queue."""


class OpenAISettings(_Section):
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


class EmbeddedSettings(_Section):
    num_ctx: int = Field(default=4096, ge=256)
    """Context window in tokens of each slot."""
    parallel: int = Field(default=2, ge=1)
    """Slots: requests computed side by side."""
    threads: int | None = Field(default=None, ge=1)
    """Default: cores - 1. One busy core beside generation costs two thirds of the speed."""


class NetworkSettings(_Section):
    local_only: bool = False
    """Refuse, where sockets open, every address that is not this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that count as local all the same, e.g. a server in your own rack."""


class ServingSettings(_Section):
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


class PowerSettings(_Section):
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


class TracingSettings(_Section):
    otlp_endpoint: str | None = None
    """OTLP over HTTP, e.g. "http://127.0.0.1:4318". None: no spans leave the process."""


class _TomlSource(PydanticBaseSettingsSource):
    """Values that were already read from the file, with their place kept for error messages."""

    def __init__(self, settings_cls: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._values = values

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 (the base's)
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


class Settings(BaseSettings):
    """Everything that can be set. `SHOAL_NETWORK__LOCAL_ONLY=true` sets `network.local_only`."""

    model_config = SettingsConfigDict(
        env_prefix="SHOAL_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    engine: Literal["auto", "embedded", "ollama", "openai"] = "auto"
    """For aliases: auto = Ollama when it answers, else embedded."""
    models: dict[str, str | ModelAlias] = Field(default_factory=dict[str, str | ModelAlias])
    """Aliases: names for models, so that agents need not say which engine."""
    large: str | None = None
    """The model (or alias) that is asked when a local answer is not good enough."""
    data_dir: Path | None = None
    """Ledger, checkpoints and indexes. Default: .shoal beside shoal.toml."""
    cache_dir: Path | None = None
    """Downloaded weights, shared by all projects of a user."""
    ollama: OllamaSettings = OllamaSettings()
    openai: OpenAISettings = OpenAISettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    network: NetworkSettings = NetworkSettings()
    serving: ServingSettings = ServingSettings()
    power: PowerSettings = PowerSettings()
    tracing: TracingSettings = TracingSettings()
    escalation: Escalation = Escalation()
    prices: dict[str, Price] = Field(default_factory=dict[str, Price])
    """USD per million tokens, by `engine:model`."""
    root: Path | None = None
    """Folder of the project; found, not set."""
    data_in_project: bool = True
    """False for the shipped project, whose folder belongs to the installation."""

    @cached_property
    def data_path(self) -> Path:
        if self.data_dir is not None:
            return (self.root or Path()) / self.data_dir.expanduser()
        if self.root is not None and self.data_in_project:
            return self.root / ".shoal"
        return platformdirs.user_data_path("shoal")

    @cached_property
    def weights_path(self) -> Path:
        return (self.cache_dir or platformdirs.user_cache_path("shoal")) / "weights"

    @cached_property
    def ollama_url(self) -> str:
        """The configured address, else OLLAMA_HOST as Ollama itself reads it, else the default."""
        url = self.ollama.url or os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
        scheme, _, rest = url.partition("://") if "://" in url else ("http", "", url)
        host = rest.rstrip("/")
        if host.startswith(":"):
            host = "127.0.0.1" + host
        if scheme == "http" and not re.search(r":\d+$", host):
            host += ":11434"
        # 0.0.0.0 is where a server listens; a client has to name an address.
        return f"{scheme}://{host.replace('0.0.0.0', '127.0.0.1')}"  # noqa: S104

    @cached_property
    def openai_key(self) -> str | None:
        if self.openai.api_key is not None:
            return self.openai.api_key.get_secret_value()
        return os.environ.get("OPENAI_API_KEY") or None


def find_root(start: Path | None = None) -> Path | None:
    """The nearest folder at or above `start` (default: the current one) that holds a shoal.toml."""
    start = (start or Path.cwd()).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def load_settings(
    root: Path | None = None, *, data_in_project: bool = True, engine: str | None = None
) -> Settings:
    """Settings of the project in `root`, or of the environment alone when it is None.

    Args:
        root: the folder with the shoal.toml.
        data_in_project: keep ledger and indexes in the project's folder unless data_dir says otherwise.
        engine: overrules the setting of that name; None = does not.

    Raises:
        ConfigError: the file is not TOML, or a value is wrong; file, line and field are named.
    """
    path = root / FILE if root else None
    text = _read(path) if path and path.is_file() else ""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML", why=str(error), mend=f"correct {path}") from error

    overrides: dict[str, Any] = {"root": root, "data_in_project": data_in_project}
    if engine is not None:
        overrides["engine"] = engine

    class FileSettings(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, _TomlSource(settings_cls, values)

    try:
        return FileSettings(**overrides)
    except ValidationError as error:
        raise _explain(error, path, text) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read", why=str(error), mend=f"make {path} a UTF-8 file"
        ) from error


def _explain(error: ValidationError, path: Path | None, text: str) -> ConfigError:
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"])
    line = _line_of(text, [str(part) for part in fault["loc"]])
    where = f"{path}, line {line}" if line else "SHOAL_" + field.upper().replace(".", "__")
    if fault["type"] == "extra_forbidden":
        known = _known_fields(fault["loc"][:-1])
        unknown = UnknownName("setting", field, known)
        return ConfigError(f'{where}: there is no setting "{field}"', why=unknown.why, mend=unknown.mend)
    return ConfigError(
        f"{where}: {field} = {fault['input']!r}", why=fault["msg"], mend=f"correct {field} in {where}"
    )


def _known_fields(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Settings
    for part in location:
        model = model.model_fields[str(part)].annotation
    prefix = "".join(f"{part}." for part in location)
    return [prefix + name for name in model.model_fields if name != "root"]


def _line_of(text: str, location: list[str]) -> int | None:
    """Line of a key: the last line that opens its table or sets it, as deep as the path can be followed."""
    found: int | None = None
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", stripped):
            table = header[1].replace('"', "")
            if location[: table.count(".") + 1] == table.split("."):
                found = number
        elif key := re.match(r'"?([\w.:-]+)"?\s*=', stripped):
            path = [part for part in [*table.split("."), *key[1].split(".")] if part]
            if location[: len(path)] == path:
                found = number
    return found
