"""Failures of OpenAI-compatible servers in Shoal's words: the only place that reads their statuses and codes.

    from the server                                     becomes             a retry can help
    301, 302, 307, 308                                  ConfigError         no
    401, 403                                            ConfigError         no
    404; code model_not_found                           ModelMissing        no
    code context_length_exceeded (OpenAI),
      type exceed_context_size_error (llama-server),
      param input_tokens or max_tokens (vLLM)           ContextOverflow     no
    429 of the account (insufficient_quota)             RequestRefused      no
    429 of the rate                                     Overloaded          yes, after Retry-After
    any other 4xx                                       RequestRefused      no
    408, 5xx                                            EngineDown          yes
    an error event in the stream                        as its code says, else StreamBroken
    nobody listens                                      EngineDown          yes
    a connection lost                                   StreamBroken        yes

Told apart by status, code, type and parameter, never by the words of a message: an older vLLM says only in
words that a prompt is too long, and is then reported as RequestRefused with those words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    EngineDown,
    ModelError,
    ModelMissing,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)

__all__ = ["Server", "from_event", "from_status", "from_transport"]

MAX_WHY = 300
"""Characters of a server's words that are shown."""
REDIRECTS = {301, 302, 307, 308}
DIALECT_CODES = {"unknown_parameter", "unsupported_parameter", "unsupported_value"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Whom the errors are about."""

    name: str
    """`openai:model`."""
    url: str

    @property
    def model(self) -> str:
        return self.name.partition(":")[2]


class _Fault(BaseModel):
    """The `error` object; servers fill in what they like."""

    message: str = ""
    type: str | None = None
    param: str | None = None
    code: int | str | None = None

    @property
    def is_overflow(self) -> bool:
        # vLLM's codes are statuses, OpenAI's are words: only the former means length by these parameters.
        by_vllm = isinstance(self.code, int) and self.param in {"input_tokens", "max_tokens"}
        return by_vllm or self.code == "context_length_exceeded" or self.type == "exceed_context_size_error"


def from_status(status: int, body: bytes, headers: Mapping[str, str], server: Server) -> ShoalError:
    """The error for an answer whose status is not 200."""
    fault = _parse_fault(body)
    if status in REDIRECTS:
        target = headers.get("location", "another address").removesuffix("/chat/completions")
        return ConfigError(
            f"{server.url} redirects to {target}", mend=f'in shoal.toml: [openai] url = "{target}"'
        )
    return _from_fault(status, fault, server, retry_after_s=parse_retry_after(headers))


def from_event(error: JsonValue, server: Server) -> ShoalError:
    """The error for an event `{"error": ...}` in a stream that began well."""
    fault = _as_fault({"error": error})
    if isinstance(fault.code, int) and 400 <= fault.code < 500:
        return _from_fault(fault.code, fault, server, retry_after_s=None)
    if fault.is_overflow:
        return _from_fault(400, fault, server, retry_after_s=None)
    return StreamBroken(f"{server.name} failed in the middle of its answer", why=fault.message[:MAX_WHY])


def from_transport(error: httpx.RequestError, server: Server) -> ModelError:
    """The error for a connection that could not be made or was lost."""
    why = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return EngineDown(
            f"nobody answers at {server.url}",
            why=why,
            mend="start the server there, or correct url in [openai] of shoal.toml",
        )
    return StreamBroken(f"the connection to {server.url} was lost", why=why)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` as a number or a date; None = not said or not readable."""
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        return None
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _from_fault(status: int, fault: _Fault, server: Server, *, retry_after_s: float | None) -> ShoalError:
    why = f"the server answered {status}: {fault.message[:MAX_WHY]}"
    if status in {401, 403}:
        return ConfigError(
            f"{server.url} does not let {server.name} be asked",
            why=why,
            mend='export OPENAI_API_KEY=..., or api_key = "..." in [openai] of shoal.toml',
        )
    if status == 404 or fault.code == "model_not_found":
        return ModelMissing(
            f'{server.url} has no model "{server.model}"',
            why=why,
            mend=f"curl {server.url}/models lists what it has; url in [openai] of shoal.toml "
            "usually ends in /v1",
        )
    if status == 429 and "insufficient_quota" in {fault.code, fault.type}:
        return RequestRefused(
            f"the account behind {server.name} has no credit left", why=why, mend="add credit at the provider"
        )
    if status == 429:
        mend = "send fewer requests at once: parallel in [openai] of shoal.toml"
        return Overloaded(f"{server.name} limits the rate", why=why, mend=mend, retry_after_s=retry_after_s)
    if status == 408 or status >= 500:
        mend = f"look into the log of the server at {server.url}"
        return EngineDown(f"{server.url} cannot answer", why=why, mend=mend, retry_after_s=retry_after_s)
    return _refusal(fault, server, why)


def _refusal(fault: _Fault, server: Server, why: str) -> RequestRefused:
    if fault.is_overflow:
        mend = "shorten the prompt, lower max_tokens, or serve the model with a longer context"
        return ContextOverflow(f"the prompt does not fit {server.name}", why=why, mend=mend)
    mend = ""
    if fault.code in DIALECT_CODES:
        mend = (
            f'it does not take {fault.param}: dialect = "openai" (or "reasoning") in [openai] of shoal.toml'
        )
    return RequestRefused(f"{server.name} refuses this request", why=why, mend=mend)


_JSON = TypeAdapter[Any](Any)


def _parse_fault(body: bytes) -> _Fault:
    try:
        return _as_fault(_JSON.validate_json(body))
    except ValidationError:
        return _Fault(message=body.decode(errors="replace"))


def _as_fault(body: JsonValue) -> _Fault:
    """`{"error": {...}}`; older vLLM puts the object at the top, LM Studio a sentence in its place."""
    match body:
        case {"error": dict() as found} | ({"message": str()} as found):
            fault = found
        case {"error": str() as message} | {"detail": str() as message}:
            fault = {"message": message}
        case _:
            fault = {"message": str(body)}
    try:
        return _Fault.model_validate(fault)
    except ValidationError:
        return _Fault(message=str(fault))
