"""Settings: shoal.toml, then SHOAL_* variables over it. The only reader of the environment.

Components never see this module: the composition root reads the settings and hands values down.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
from pydantic import Discriminator, Field, Tag, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shoal.config_section import (
    CacheSettings,
    EmbeddedSettings,
    ModelAlias,
    NetworkSettings,
    OllamaSettings,
    OpenAISettings,
    PowerSettings,
    ServingSettings,
    TracingSettings,
)
from shoal.core.errors import ConfigError, UnknownName
from shoal.router.escalation import Budget, Escalation
from shoal.tracing.cost import Price

__all__ = ["Settings", "find_root", "load_settings"]

FILE = "shoal.toml"
PREFIX = "SHOAL_"
INTERNAL = frozenset({"root", "data_in_project"})
"""Fields of `Settings` that are found and not set."""
EngineChoice = Literal["auto", "embedded", "ollama", "openai"]


AliasOrName = Annotated[
    Annotated[str, Tag("name")] | Annotated[ModelAlias, Tag("table")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "table"),  # pyright: ignore[reportUnknownLambdaType] pydantic leaves it untyped
]


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
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    engine: EngineChoice = "auto"
    """For aliases: auto = Ollama when it answers, else embedded."""
    models: dict[str, AliasOrName] = Field(default_factory=dict[str, AliasOrName])
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
    cache: CacheSettings = CacheSettings()
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
        folder = self.cache_dir or platformdirs.user_cache_path("shoal")
        return (self.root or Path()) / folder.expanduser() / "weights"

    @cached_property
    def ollama_url(self) -> str:
        """The configured address, else OLLAMA_HOST as Ollama itself reads it, else the default.

        Raises:
            ConfigError: it is no address.
        """
        return parse_ollama_host(self.ollama.url or os.environ.get("OLLAMA_HOST") or "")

    @cached_property
    def openai_key(self) -> str | None:
        if self.openai.api_key is not None:
            return self.openai.api_key.get_secret_value()
        return os.environ.get("OPENAI_API_KEY") or None


def parse_ollama_host(text: str) -> str:
    """The URL that an OLLAMA_HOST means: "", "host", ":port", "host:port" or a URL; IPv6 too.

    As in Ollama's own envconfig: the port is 11434, or the scheme's own where there is a scheme.

    Raises:
        ConfigError: it is no address.
    """
    before, has_scheme, after = text.strip(" \"'").partition("://")
    scheme, rest = (before, after) if has_scheme else ("http", before)
    place, _, path = rest.partition("/")
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{1,5}))?", place)
    host, port = (found[1].strip("[]"), found[2]) if found else (place, None)
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if scheme not in ("http", "https") or not (found or address) or int(port or 0) > 65_535:
        raise ConfigError(
            f'"{text}" is not the address of an Ollama',
            why="it is read from url in [ollama] of shoal.toml, or from OLLAMA_HOST",
            mend='write "http://127.0.0.1:11434"',
        )
    port = port or ({"http": "80", "https": "443"}[scheme] if has_scheme else "11434")
    if address is not None and address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"  # a server listens there; a client asks one
    elif not host:
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}{'/' + path.rstrip('/') if path else ''}"


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

    _check_names(values, path, text)
    overrides: dict[str, Any] = {"root": root, "data_in_project": data_in_project}
    if engine is not None:
        if engine not in get_args(EngineChoice):
            raise UnknownName("engine", engine, get_args(EngineChoice))
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
    except SettingsError as error:
        raise ConfigError(
            f"a {PREFIX}* variable cannot be read",
            why=f"{error}: lists and tables are written as JSON",
            mend=f"""{PREFIX}NETWORK__ALLOWED_HOSTS='["rack1"]'""",
        ) from error
    except ConfigError as error:  # from a section that checks itself
        where = f"{path} or {PREFIX}*" if text else f"{PREFIX}*"
        raise ConfigError(f"in {where}: {error.what}", why=error.why, mend=error.mend) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read", why=str(error), mend=f"make {path} a UTF-8 file"
        ) from error


def _check_names(values: Mapping[str, Any], path: Path | None, text: str) -> None:
    """Refuse what pydantic-settings would pass over: a misspelt variable must not leave its default."""
    known = [name for name in Settings.model_fields if name not in INTERNAL]
    given = {name: f"{path}, line {_line_of(text, [name])}" for name in values}
    for variable in os.environ:
        if variable.upper().startswith(PREFIX):
            given.setdefault(variable[len(PREFIX) :].split("__")[0].lower(), variable)
    for name, where in given.items():
        if name not in known:
            unknown = UnknownName("setting", name, known)
            raise ConfigError(f'{where}: there is no setting "{name}"', why=unknown.why, mend=unknown.mend)


UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""What pydantic calls a field that a model, or a dataclass, does not have."""


def _explain(error: ValidationError, path: Path | None, text: str) -> ConfigError:
    # An unknown name first: it is why another one is missing.
    fault = min(error.errors(), key=lambda each: each["type"] not in UNKNOWN)
    parts = [str(part) for part in fault["loc"]]
    if parts[0] == "models":
        del parts[2:3]  # the tag: which of a name or a table it was taken for
    field = ".".join(parts)
    where = _place_of(parts, path, text)
    if fault["type"] in UNKNOWN:
        unknown = UnknownName("setting", field, _known_fields(parts))
        return ConfigError(f'{where}: there is no setting "{field}"', why=unknown.why, mend=unknown.mend)
    shown = "..." if parts[-1] == "api_key" else repr(fault["input"])
    return ConfigError(f"{where}: {field} = {shown}", why=fault["msg"], mend=f"correct {field} in {where}")


def _place_of(location: list[str], path: Path | None, text: str) -> str:
    """The variable that sets it, which wins over the file; else its line; else a variable around it."""
    names = [
        PREFIX + "__".join(location[:depth]).upper().replace("-", "_")
        for depth in range(len(location), 0, -1)
    ]
    present = {name.upper() for name in os.environ}
    if names[0] in present:
        return names[0]
    if line := _line_of(text, location):
        return f"{path}, line {line}"
    return next((name for name in names if name in present), names[0])


def _known_fields(location: list[str]) -> list[str]:
    """Names beside the last part of a location, each with the way to it."""
    *way, _ = location
    nested = {"models": ModelAlias, "prices": Price, "escalation": Budget if len(way) > 1 else Escalation}
    section: Any = nested.get(way[0]) or Settings.model_fields[way[0]].annotation
    names = getattr(section, "model_fields", None) or section.__dataclass_fields__
    return [".".join([*way, name]) for name in names]


PART = r""""[^"]*"|'[^']*'|[\w-]+"""
KEY = rf"((?:{PART})(?:\s*\.\s*(?:{PART}))*)"
HEADER = re.compile(rf"\[+\s*{KEY}\s*\]")
ASSIGNMENT = re.compile(rf"{KEY}\s*=")


def _line_of(text: str, location: list[str]) -> int | None:
    """Line of a key: the one that opens its table or sets it, as deep as the path can be followed."""
    found, depth = None, 0
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line.strip()):
            path = table = _parts(header[1])
        elif key := ASSIGNMENT.match(line.strip()):
            path = [*table, *_parts(key[1])]
        else:
            continue
        if location[: len(path)] == path and len(path) > depth:
            found, depth = number, len(path)
    return found


def _parts(key: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(PART, key)]
