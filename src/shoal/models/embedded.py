"""The embedded engine: llama.cpp in a child process of ours, no daemon and no account.

One `EmbeddedModel` is one base model; all agents on that base share it and differ in messages and in the
LoRA adapter a request names. Not here: retries, deadlines and queue bounds, which wrap this port.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import httpx
from pydantic import BaseModel

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, FinishReason, TokenLogprob
from shoal.core.errors import RequestRefused, StreamBroken
from shoal.core.port import ModelInfo
from shoal.core.usage import Usage
from shoal.models.embedded_process import EmbeddedProcess, EngineChild, EngineSettings, check_files, hash_file
from shoal.models.embedded_wire import (
    JSON_FIRST,
    Chunk,
    build_body,
    build_error,
    build_messages,
    parse_chunk,
    parse_refusal,
)

__all__ = ["EmbeddedModel"]

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class EmbeddedModel:
    """A GGUF on this machine, as `ChatModel`.

    Nothing runs until the first request; the weights then stay resident until `aclose`. At most
    `settings.slots` answers are computed at once, further requests wait inside the engine.
    """

    def __init__(self, name: str, settings: EngineSettings) -> None:
        self._name = name
        self._settings = settings
        self._process = EmbeddedProcess(name, settings)

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int | None:
        """Process id of the engine; None = not running."""
        return self._process.pid

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """See `ChatModel.stream`. Cancelled by closing: the engine's slot is free within a batch.

        Raises:
            RequestRefused: the engine cannot do this: an adapter it was not started with, an invalid
                schema, no messages.
            ContextOverflow: the prompt does not fit; nothing was computed.
            EngineDown: the engine cannot be started.
            StreamBroken: the engine died, or stopped before the end of the answer.
            ConfigError: the engine is not installed.
            ModelMissing: the weights are not where they should be.
            StorageDamaged: the weights are no GGUF.
        """
        body = build_body(request, self._scales(request))
        began = time.perf_counter()
        child = await self._process.child()
        answer = Answer(self._name, request, began=began, loaded=time.perf_counter())
        async with aclosing(self._chunks(child, body)) as chunks:
            async for chunk in chunks:
                delta = answer.add(chunk)
                if delta is not None:
                    yield delta
        yield answer.response(self._digest(request))

    async def describe(self) -> ModelInfo:
        """See `ChatModel.describe`. The first call reads the whole file for its digest.

        Raises:
            ModelMissing: the weights are not where they should be.
            StorageDamaged: the weights are no GGUF.
        """
        check_files(self._name, self._settings)
        return ModelInfo(
            name=self._name,
            digest=await asyncio.to_thread(hash_file, self._settings.gguf),
            num_ctx=self._settings.num_ctx,
            size_bytes=self._settings.gguf.stat().st_size,
            capabilities=frozenset({"logprobs", "schema", "adapters", "labels"}),
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the prompt, exact: the engine's own template and tokenizer. Starts the engine.

        Raises:
            EngineDown: the engine cannot be started.
            RequestRefused: the model's template refuses the messages.
            StreamBroken: the engine died.
        """
        child = await self._process.child()
        body = {"messages": build_messages(request)}
        rendered = Rendered.model_validate_json(await self._post(child, "/apply-template", body))
        tokenize = {"content": rendered.prompt, "add_special": True, "parse_special": True}
        return len(Tokenized.model_validate_json(await self._post(child, "/tokenize", tokenize)).tokens)

    async def aclose(self) -> None:
        """End the child process and give its memory back. Idempotent; a later request starts anew."""
        await self._process.aclose()

    def _scales(self, request: ChatRequest) -> list[float]:
        adapters = self._settings.adapters
        if request.adapter is not None and request.adapter not in adapters:
            raise RequestRefused(
                f'{self._name} was not started with the adapter "{request.adapter}"',
                why=f"known: {', '.join(sorted(adapters)) or 'none'}",
                mend="name it in the model's adapters when the engine is built",
            )
        if not request.messages:
            raise RequestRefused(f"{self._name} was asked nothing", why="the request has no messages")
        return [1.0 if adapter == request.adapter else 0.0 for adapter in adapters]

    def _digest(self, request: ChatRequest) -> str:
        base = hash_file(self._settings.gguf)
        if request.adapter is None:
            return base
        return f"{base}+{hash_file(self._settings.adapters[request.adapter])}"

    async def _chunks(self, child: EngineChild, body: Mapping[str, object]) -> AsyncGenerator[Chunk]:
        try:
            async with child.client.stream("POST", "/v1/chat/completions", json=body) as reply:
                if reply.is_error:
                    raise parse_refusal(self._name, await reply.aread())
                async for line in reply.aiter_lines():
                    chunk = parse_chunk(line)
                    if chunk is not None and chunk.error is not None:
                        raise build_error(self._name, chunk.error)
                    if chunk is not None:
                        yield chunk
        except httpx.TransportError as error:
            raise await self._process.bury(child, error) from error

    async def _post(self, child: EngineChild, path: str, body: Mapping[str, object]) -> bytes:
        try:
            reply = await child.client.post(path, json=body)
        except httpx.TransportError as error:
            raise await self._process.bury(child, error) from error
        if reply.is_error:
            raise parse_refusal(self._name, reply.content)
        return reply.content


class Rendered(BaseModel):
    """The messages as the model's template writes them."""

    prompt: str


class Tokenized(BaseModel):
    tokens: list[int]


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
