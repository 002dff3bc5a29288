"""What crosses the wire from Ollama's native API, and how it reads in Shoal's words.

Pure data and parsing: no connection is opened here. Only the fields Shoal uses are named; others are
ignored, because every Ollama release adds some. Documented in Ollama's docs/api.md.
"""

import ast
from typing import Any, final

from pydantic import BaseModel, ConfigDict, ValidationError

from shoal.core.chat import TokenLogprob
from shoal.core.errors import StreamBroken
from shoal.core.usage import Usage

__all__ = [
    "ChatLine",
    "LineReader",
    "ShowReply",
    "TagsReply",
    "VersionReply",
    "parse_logprobs",
    "parse_stops",
    "parse_usage",
]

MAX_LINE_BYTES = 8 * 1024 * 1024
"""A line holds one token or a few: anything longer is not an answer."""
NS = 1e-9


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _TopLogprob(_Wire):
    token: str
    logprob: float


class _Logprob(_TopLogprob):
    top_logprobs: tuple[_TopLogprob, ...] = ()


class _Message(_Wire):
    content: str = ""
    thinking: str = ""
    tool_calls: tuple[Any, ...] = ()


class ChatLine(_Wire):
    """One line of a streamed `/api/chat` answer. Durations are nanoseconds; a zero is left out."""

    error: str | None = None
    """Set on a line of its own when the engine fails after the status 200 is gone."""
    message: _Message = _Message()
    logprobs: tuple[_Logprob, ...] = ()
    done: bool = False
    done_reason: str = ""
    total_duration: int | None = None
    load_duration: int = 0
    prompt_eval_count: int | None = None
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0


class VersionReply(_Wire):
    version: str


class ShowReply(_Wire):
    capabilities: tuple[str, ...] = ()
    parameters: str = ""
    """The Modelfile's PARAMETER lines: name, spaces, a Go literal."""
    remote_host: str = ""
    """Where the model really runs when this server only passes requests on."""
    model_info: dict[str, Any] = {}

    @property
    def trained_context(self) -> int | None:
        """Tokens the model was made for; the server cuts a larger num_ctx down to it."""
        length = self.model_info.get(f"{self.model_info.get('general.architecture')}.context_length")
        return length if isinstance(length, int) else None


class _Tag(_Wire):
    name: str
    digest: str
    size: int


class TagsReply(_Wire):
    models: tuple[_Tag, ...]


@final
class LineReader:
    r"""Newline-delimited JSON out of chunks of bytes.

    Splits at b"\n" alone: text may hold U+0085 and its like, at which `str.splitlines` would cut.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[ChatLine]:
        """The lines that this chunk completes. One that never ends is lost: without it there is no `done`.

        Raises:
            StreamBroken: one is no chat line, or is longer than `MAX_LINE_BYTES`.
        """
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise StreamBroken("Ollama sent an endless line", why=f"over {MAX_LINE_BYTES} bytes")
        return [_parse_line(line) for line in whole if line]


def _parse_line(line: bytes) -> ChatLine:
    try:
        return ChatLine.model_validate_json(line)
    except ValidationError as error:
        start = line[:80].decode(errors="replace")
        raise StreamBroken("Ollama sent a line that is no chat line", why=f"it begins {start!r}") from error


def parse_logprobs(line: ChatLine) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            text=token.token,
            logprob=token.logprob,
            top=tuple((other.token, other.logprob) for other in token.top_logprobs),
        )
        for token in line.logprobs
    )


def parse_usage(last: ChatLine, *, first_token_s: float | None) -> Usage:
    """Tokens and seconds of the `done` line.

    `load_duration` includes the engine's own queue for models that are not resident, evictions and the
    load; for a resident model it is what preparing a request costs. What is left of the total after
    load, prompt and generation is the wait for a free slot (and some sampling).
    """
    if last.total_duration is None:
        return Usage(
            input_tokens=last.prompt_eval_count, output_tokens=last.eval_count, first_token_s=first_token_s
        )
    waited = last.total_duration - last.load_duration - last.prompt_eval_duration - last.eval_duration
    return Usage(
        input_tokens=last.prompt_eval_count,
        output_tokens=last.eval_count,
        queue_s=max(0, waited) * NS,
        load_s=last.load_duration * NS,
        prefill_s=last.prompt_eval_duration * NS,
        decode_s=last.eval_duration * NS,
        first_token_s=first_token_s,
    )


def parse_stops(parameters: str) -> tuple[str, ...]:
    """The Modelfile's own stop sequences, which a request's `stop` would replace instead of joining."""
    pairs = (line.partition(" ") for line in parameters.splitlines())
    return tuple(str(ast.literal_eval(value.strip())) for name, _, value in pairs if name == "stop")
