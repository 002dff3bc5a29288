"""Ollama's failures in Shoal's words: the only place that reads its statuses and messages.

    from the server                         becomes             a retry can help
    404                                     ModelMissing        no
    400 of the context's sentences          ContextOverflow     no
    400, 401, 403, any other 4xx            RequestRefused      no
    429, 503 (the queue for loads is full)  Overloaded          yes
    500 of the request's sentences          RequestRefused      no
    500 of the answer's sentences           OutputInvalid       no
    500 (load, memory, crash)               LoadFailed          yes
    502, 504                                EngineDown          yes
    a line {"error": ...} under status 200  StreamBroken        yes (the answer's sentences: no)
    nobody listens                          EngineDown          yes
    a connection lost                       StreamBroken        yes

The status decides wherever it can. But 400 and 500 stand for several things and Ollama sends no code with
them, so those are told apart by whole sentences known from its source; an unknown one keeps to the status.
"""

import re

import httpx
from pydantic import BaseModel, ValidationError

from shoal.core.errors import (
    ContextOverflow,
    EngineDown,
    LoadFailed,
    ModelError,
    ModelMissing,
    OutputInvalid,
    Overloaded,
    RequestRefused,
    ShoalError,
    StreamBroken,
)

__all__ = ["from_line", "from_status", "from_transport"]

_CONTEXT = re.compile(
    r"the input length exceeds the context length"
    r"|the prompt is longer than the context length currently available to the model;.*"
)
_REQUEST = re.compile(
    r'option "\w+" must be of .+'
    r"|invalid JSON schema in format"
    r"|invalid format: .+"
)
_ANSWER = re.compile(
    r"(error parsing tool call|failed to parse (JSON|XML|function call|arguments))\b.*", re.DOTALL
)
_GATEWAY = {502, 503, 504}
"""A proxy in front of Ollama says these in its own words."""
_MAKE_ROOM = "`ollama ps` shows what fills the memory, `ollama stop NAME` gives it back"
_MAX_WHY = 300


class _Body(BaseModel):
    error: str


class _RunnerError(BaseModel):
    message: str
    type: str = ""


class _RunnerBody(BaseModel):
    """What the llama-server inside Ollama 0.30 and later says; Ollama passes it on as a string."""

    error: _RunnerError


def from_status(status: int, body: bytes, *, model: str, url: str) -> ShoalError:
    """The error for an answer whose status is not 200."""
    message, kind = _read_body(body)
    why = f"Ollama answered {status}: {(message or body.decode(errors='replace'))[:_MAX_WHY]}"
    if message is None and status not in _GATEWAY:
        mend = "set url in [ollama] of shoal.toml, or OLLAMA_HOST"
        return EngineDown(f"what answers at {url} is not Ollama", why=why, mend=mend)
    if status in {400, 500}:
        return _from_sentence(status, message or "", kind, model=model, why=why)
    if status == 404:
        return ModelMissing(f'Ollama has no model "{model}"', why=why, mend=f"ollama pull {model}")
    if status in {429, 503}:
        return Overloaded("Ollama's queue is full", why=why, mend="send fewer requests at once")
    if status < 500:
        mend = "ollama signin" if status == 401 else ""
        return RequestRefused(f"Ollama refuses this request to {model}", why=why, mend=mend)
    return EngineDown(f"Ollama cannot run {model}", why=why, mend=_MAKE_ROOM)


def _from_sentence(status: int, message: str, kind: str, *, model: str, why: str) -> ShoalError:
    if kind == "exceed_context_size_error" or _CONTEXT.fullmatch(message):
        mend = "shorten the prompt, or raise num_ctx in [ollama] of shoal.toml"
        return ContextOverflow(f"the prompt does not fit the context window of {model}", why=why, mend=mend)
    if _ANSWER.fullmatch(message):
        return _unreadable_answer(model, message)
    if status == 400 or _REQUEST.fullmatch(message):
        return RequestRefused(f"Ollama refuses this request to {model}", why=why)
    return LoadFailed(f"Ollama cannot run {model}", why=why, mend=_MAKE_ROOM)


def from_line(message: str, *, model: str) -> ShoalError:
    """The error for a line `{"error": message}` in a stream that began well."""
    if _ANSWER.fullmatch(message):
        return _unreadable_answer(model, message)
    return StreamBroken(f"{model} failed in the middle of its answer", why=message[:_MAX_WHY])


def from_transport(error: httpx.HTTPError, *, url: str) -> ModelError:
    """The error for a connection that could not be made or was lost."""
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return EngineDown(f"Ollama does not answer at {url}", why=why, mend="ollama serve")
        case httpx.PoolTimeout():
            return Overloaded("no free connection to Ollama", why=why, mend="send fewer requests at once")
        case _:
            return StreamBroken(f"the connection to Ollama at {url} was lost", why=why)


def _unreadable_answer(model: str, message: str) -> OutputInvalid:
    return OutputInvalid(
        f"Ollama could not read what {model} wrote as a tool call", text="", why=message[:_MAX_WHY]
    )


def _read_body(body: bytes) -> tuple[str | None, str]:
    """The message and, where the runner gives one, the type of the error; no message = not Ollama's body."""
    try:
        message = _Body.model_validate_json(body).error
    except ValidationError:
        return None, ""
    try:
        inner = _RunnerBody.model_validate_json(message).error
    except ValidationError:
        return message, ""
    return inner.message, inner.type
