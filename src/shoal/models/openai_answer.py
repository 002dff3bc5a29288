"""The answer of an OpenAI-compatible server, put together from the events of its stream."""

import time
from typing import final

from pydantic import ValidationError

from shoal.core.chat import ChatDelta, ChatResponse, FinishReason, TokenLogprob
from shoal.core.errors import StreamBroken
from shoal.models.openai_error import Server, from_event
from shoal.models.openai_wire import (
    FINISH_REASONS,
    Chunk,
    WireTimings,
    WireUsage,
    parse_logprobs,
    parse_usage,
)

__all__ = ["OpenAIAnswer"]

DONE = b"[DONE]"


@final
class OpenAIAnswer:
    """What one server has said so far to one request."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._asked = time.perf_counter()
        self._first_token_s: float | None = None
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._refused = False
        self._ending: str | None = None
        self._usage: WireUsage | None = None
        self._timings: WireTimings | None = None

    def add(self, data: bytes) -> ChatDelta | None:
        """Take in one event. None: it has no text.

        Raises:
            StreamBroken: it cannot be read, or says that the server failed.
        """
        if data == DONE:
            return None
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            raise StreamBroken(
                f"{self._server.name} sent what is no part of an answer", why=repr(data[:200])
            ) from error
        if chunk.error is not None:
            raise from_event(chunk.error, self._server)
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        return self._add_choice(chunk) if chunk.choices else None

    def _add_choice(self, chunk: Chunk) -> ChatDelta | None:
        choice = chunk.choices[0]
        self._ending = choice.finish_reason or self._ending
        self._refused = self._refused or bool(choice.delta.refusal)
        text = (choice.delta.content or "") + (choice.delta.refusal or "")
        tokens = parse_logprobs(choice.logprobs)
        if not text and not tokens:
            return None
        if self._first_token_s is None:
            self._first_token_s = time.perf_counter() - self._asked
        self._text.append(text)
        self._tokens.extend(tokens)
        return ChatDelta(text=text, tokens=tokens)

    def finish(self) -> ChatResponse:
        """The whole answer.

        Raises:
            StreamBroken: the stream ended before it.
        """
        return ChatResponse(
            text="".join(self._text),
            finish_reason=self._finish_reason(),
            usage=parse_usage(self._usage, self._timings, first_token_s=self._first_token_s),
            model=self._server.name,
            tokens=tuple(self._tokens),
        )

    def _finish_reason(self) -> FinishReason:
        if self._ending is None:
            raise StreamBroken(
                f"the answer of {self._server.name} stopped before its end",
                why="it came without a finish_reason",
            )
        if self._ending not in FINISH_REASONS:
            raise StreamBroken(
                f"the answer of {self._server.name} was broken off", why=f'finish_reason is "{self._ending}"'
            )
        return "refusal" if self._refused else FINISH_REASONS[self._ending]
