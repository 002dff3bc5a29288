"""What an Ollama server says of itself and of one model, read before the first request goes out."""

import re
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from shoal.core.errors import ConfigError, EngineDown
from shoal.core.port import ModelInfo
from shoal.models.ollama_error import from_status
from shoal.models.ollama_wire import ShowReply, TagsReply, VersionReply, parse_stops

__all__ = [
    "DEFAULT_CONTEXT",
    "OLDEST_VERSION",
    "OllamaInfo",
    "check_version",
    "is_cloud_name",
    "load_info",
    "parse_version",
    "tagged",
]

DEFAULT_CONTEXT = 4096
"""Tokens, where nothing is set."""
OLDEST_VERSION = (0, 17, 1)
"""Older servers read past the end of a crafted GGUF. This one has all that Shoal asks for: schemas (0.5),
logprobs (0.12.11), `truncate` and `shift`."""

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaInfo:
    """What the adapter needs to know to ask well."""

    model: ModelInfo
    num_ctx: int
    """Tokens of prompt and answer."""
    stops: tuple[str, ...] = ()
    """The Modelfile's stop sequences."""


async def load_info(client: httpx.AsyncClient, model: str, *, num_ctx: int | None) -> OllamaInfo:
    """Ask for version, model and digest. Loads nothing.

    `num_ctx`: None = `DEFAULT_CONTEXT`, or what the model was trained on when that is less.

    A cloud model's name is enough to know it: asking for more would already send a request out.

    Raises:
        httpx.HTTPError: nobody answers.
        ModelMissing: the server does not have the model.
        EngineDown: the server is not an Ollama.
        ConfigError: it is too old, or num_ctx is larger than the model's own.
    """
    check_version((await _ask(client, "GET", "/api/version", model, VersionReply)).version)
    if is_cloud_name(model):
        return OllamaInfo(
            model=ModelInfo(name=f"ollama:{model}", remote=True), num_ctx=num_ctx or DEFAULT_CONTEXT
        )
    show = await _ask(client, "POST", "/api/show", model, ShowReply, {"model": model})
    tags = await _ask(client, "GET", "/api/tags", model, TagsReply)
    tag = next((tag for tag in tags.models if tagged(tag.name) == tagged(model)), None)
    room = _room(model, num_ctx, show.trained_context)
    info = ModelInfo(
        name=f"ollama:{model}",
        digest=tag.digest if tag else None,
        num_ctx=room,
        size_bytes=tag.size if tag else None,
        remote=bool(show.remote_host),
        capabilities=frozenset({"logprobs", "schema"} | ({"thinking", "tools"} & set(show.capabilities))),
    )
    return OllamaInfo(model=info, num_ctx=room, stops=parse_stops(show.parameters))


def _room(model: str, num_ctx: int | None, trained: int | None) -> int:
    if num_ctx is not None and trained is not None and num_ctx > trained:
        raise ConfigError(
            f"{model} has no context of {num_ctx:,} tokens",
            why=f"it was trained on {trained:,}, and Ollama would cut what is beyond them",
            mend=f"num_ctx = {trained} in [ollama] of shoal.toml, or none: each model then gets what it can",
        )
    return num_ctx or min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)


def is_cloud_name(model: str) -> bool:
    """True for names that Ollama always sends to its cloud: the tag is "cloud" or ends in "-cloud"."""
    _, colon, tag = model.rpartition(":")
    return (
        bool(colon)
        and "/" not in tag
        and re.fullmatch(r"(.*-)?cloud", tag.strip(), re.IGNORECASE) is not None
    )


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The numbers of "0.24.0" or "0.31.0-rc2"; None = unknown, as in "0.0.0", a build from source."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        return None
    numbers = (int(match[1]), int(match[2]), int(match[3]))
    return None if numbers == (0, 0, 0) else numbers


def check_version(text: str) -> None:
    """Refuse a server that is known to be too old.

    Raises:
        ConfigError: it is older than `OLDEST_VERSION`.
    """
    version = parse_version(text)
    if version is not None and version < OLDEST_VERSION:
        wanted = ".".join(map(str, OLDEST_VERSION))
        raise ConfigError(
            f"Ollama {text} is too old",
            why=f"Shoal needs {wanted} or newer; older ones can be crashed by a crafted model file",
            mend="install a newer one from https://ollama.com/download, then restart `ollama serve`",
        )


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, model: str, kind: type[Reply], body: object = None
) -> Reply:
    response = await client.request(method, path, json=body)
    url = str(client.base_url)
    if not response.is_success:
        raise from_status(response.status_code, response.content, model=model, url=url)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        why = f"{path} answered {response.text[:80]!r}"
        mend = "set url in [ollama] of shoal.toml, or OLLAMA_HOST"
        raise EngineDown(f"what answers at {url} is not Ollama", why=why, mend=mend) from error


def tagged(model: str) -> str:
    """The name with its tag, in the one case that Ollama compares names in."""
    return (model if ":" in model.rpartition("/")[2] else f"{model}:latest").casefold()
