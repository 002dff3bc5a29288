"""Folds what the embedded engine streams into deltas and one response. Pure but for the clock."""

import time

from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, FinishReason, TokenLogprob
from shoal.core.errors import RequestRefused, StreamBroken
from shoal.core.usage import Usage
from shoal.models.embedded_wire import Chunk

__all__ = ["Answer"]

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
JSON_FIRST = '{["-0123456789tfn'
"""What JSON can begin with."""


class Answer:
    """Folds the chunks of one answer into deltas and a response."""

    def __init__(self, name: str, request: ChatRequest, *, began: float, loaded: float) -> None:
        self._name = name
        self._top = request.top_logprobs
        self._constrained = request.schema is not None
        self._began = began
        self._loaded = loaded
        self._first: float | None = None
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._finish: str | None = None
        self._last: Chunk | None = None

    def add(self, chunk: Chunk) -> ChatDelta | None:
        """The delta in the chunk, if there is one.

        Raises:
            RequestRefused: the engine left the schema out.
        """
        if chunk.usage is not None:
            self._last = chunk
        self._finish = chunk.finish_reason or self._finish
        delta = ChatDelta(text=chunk.text, tokens=() if self._top is None else chunk.tokens(self._top))
        if not delta.text and not delta.tokens:
            return None
        if self._first is None:
            self._first = time.perf_counter()
            self._check_constrained(delta.text)
        self._text.append(delta.text)
        self._tokens.extend(delta.tokens)
        return delta

    def _check_constrained(self, text: str) -> None:
        # A schema the engine cannot compile goes to its log and nowhere else: it answers freely.
        if self._constrained and text and text[0] not in JSON_FIRST:
            raise RequestRefused(
                f"{self._name} cannot enforce the schema of the answer",
                why="it is invalid, or holds a pattern with look-around",
                mend="simplify the output type; the agent's own checks still see every answer",
            )

    def response(self, digest: str) -> ChatResponse:
        """The whole answer.

        Raises:
            StreamBroken: the stream ended without saying how, or in a way nobody asked for.
        """
        if self._last is None or self._finish not in FINISH_REASONS:
            raise StreamBroken(f"{self._name} stopped before the end of its answer")
        return ChatResponse(
            text="".join(self._text),
            finish_reason=FINISH_REASONS[self._finish],
            usage=self._usage(self._last),
            model=self._name,
            digest=digest,
            tokens=tuple(self._tokens),
        )

    def _usage(self, last: Chunk) -> Usage:
        usage, timings = last.usage, last.timings
        prefill_s = None if timings is None else timings.prompt_ms / 1e3
        load_s = self._loaded - self._began
        first_s = None if self._first is None else self._first - self._began
        waited = None if first_s is None or prefill_s is None else max(0.0, first_s - load_s - prefill_s)
        return Usage(
            input_tokens=None if usage is None else usage.prompt_tokens,
            output_tokens=None if usage is None else usage.completion_tokens,
            cached_tokens=None if timings is None else timings.cache_n,
            queue_s=waited,
            load_s=load_s,
            prefill_s=prefill_s,
            decode_s=None if timings is None else timings.predicted_ms / 1e3,
            first_token_s=first_s,
        )
