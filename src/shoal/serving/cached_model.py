"""A chat model that gives the same answer to the same request without asking twice.

Exact: same weights, messages, schema and options, at temperature 0. Only for requests that allow it
(`ChatRequest.reuse`), only for whole answers, and only where the engine says which weights it runs. It stands
outermost, so that an answer that is there needs neither a turn nor a living engine.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import Context, copy_context
from dataclasses import asdict, replace
from typing import final

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import ShoalError
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import Usage
from shoal.serving.answer_store import AnswerStore, StoredAnswer
from shoal.tracing.recorded_model import RecordedModel, Recorder

__all__ = ["CachedModel"]

DIGEST_S = 5.0
"""How long the engine's word on the weights counts; then it is asked again."""


@final
class CachedModel:
    """Wraps a model. Of equal requests at the same time one asks, and the others take its answer."""

    def __init__(
        self,
        inner: ChatModel,
        store: AnswerStore,
        recorder: Recorder,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`recorder`: for answers taken from the store; others are recorded further in."""
        self._inner = inner
        self._store = store
        self._replays = replace(recorder, meter=None)  # nothing is computed, so nothing is measured
        self._clock = clock
        self._digest: tuple[float, str | None] | None = None
        self._asking: dict[str, asyncio.Future[StoredAnswer | None]] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Answer from the store, or ask.

        Raises:
            ShoalError: whatever the wrapped model raises.
        """
        if not request.reuse or request.sampling.temperature != 0 or request.adapter is not None:
            return self._inner.stream(request)
        # Inner models read context variables when `stream` is called; here that happens later.
        return self._look(request, copy_context())

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        """Close the wrapped model; the store stays open."""
        await self._inner.aclose()

    async def _look(self, request: ChatRequest, context: Context) -> AsyncGenerator[ChatEvent]:
        digest = await self._weights()
        if digest is None:
            events = context.run(self._inner.stream, request)
        else:
            key = _key(self.name, digest, request)
            answer = await self._find(key)
            if answer is None:
                events = self._ask(key, digest, request, context)
            else:
                replayed = RecordedModel(_Replay(self.name, answer), self._replays)
                events = context.run(replayed.stream, request)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _find(self, key: str) -> StoredAnswer | None:
        """What is kept, or what somebody else is just being told. None: ask; others wait for it."""
        if key in self._asking:
            # Shielded: whoever waits may be cancelled, and the others still wait.
            return await asyncio.shield(self._asking[key])
        self._asking[key] = asyncio.get_running_loop().create_future()
        answer, is_known = None, False
        try:
            answer = await self._store.get(key)
            is_known = True
        finally:
            if answer is not None or not is_known:
                self._tell(key, answer)
        return answer

    async def _ask(
        self, key: str, digest: str, request: ChatRequest, context: Context
    ) -> AsyncGenerator[ChatEvent]:
        deltas: list[ChatDelta] = []
        try:
            async with aclosing(context.run(self._inner.stream, request)) as events:
                async for event in events:
                    if isinstance(event, ChatDelta):
                        deltas.append(event)
                    elif _is_whole(event, request) and await self._is_of(digest, event):
                        answer = StoredAnswer(deltas=tuple(deltas), response=event)
                        self._tell(key, answer)
                        await self._store.put(key, answer)
                    yield event
        finally:
            self._tell(key, None)

    def _tell(self, key: str, answer: StoredAnswer | None) -> None:
        """Those who wait for an equal request take this answer, or ask for themselves when it is None."""
        waited_for = self._asking.pop(key, None)
        if waited_for is not None:
            waited_for.set_result(answer)

    async def _is_of(self, digest: str, response: ChatResponse) -> bool:
        """Whether these weights gave the answer.

        The response alone does not tell: an adapter may name what it saw under that name some calls ago.
        """
        if response.digest != digest:
            return False
        self._digest = None
        return await self._weights() == digest

    async def _weights(self) -> str | None:
        """Digest of what the engine runs; None = it does not say, or does not answer."""
        now = self._clock()
        if self._digest is None or now - self._digest[0] > DIGEST_S:
            try:
                self._digest = (now, (await self._inner.describe()).digest)
            except ShoalError:
                return None  # asking will fail in the same way, and be recorded
        return self._digest[1]


@final
class _Replay:
    """A model that says what it said before."""

    def __init__(self, name: str, answer: StoredAnswer) -> None:
        self.name = name
        self._answer = answer

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        del request
        for delta in self._answer.deltas:
            yield delta
        response = self._answer.response
        usage = Usage(
            input_tokens=response.usage.input_tokens,
            output_tokens=response.usage.output_tokens,
            cached_tokens=response.usage.input_tokens,
            queue_s=0.0,
            load_s=0.0,
            prefill_s=0.0,
            decode_s=0.0,
        )
        yield replace(response, usage=usage, from_cache=True)

    async def describe(self) -> ModelInfo:
        return ModelInfo(name=self.name, digest=self._answer.response.digest)

    async def count_tokens(self, request: ChatRequest) -> int | None:
        del request
        return None

    async def aclose(self) -> None:
        """Nothing to give back."""


def _key(model: str, digest: str, request: ChatRequest) -> str:
    """The same for two requests only if engine and model would be given the same."""
    asked = {
        "model": model,
        "digest": digest,
        "messages": [(message.role, message.content) for message in request.messages],
        "max_tokens": request.max_tokens,
        "sampling": asdict(request.sampling),
        "schema": request.schema,
        "top_logprobs": request.top_logprobs,
        "stop": request.stop,
        "input": request.input,  # verbatim strings of the schema are held to it
    }
    return hashlib.sha256(json.dumps(asked, default=dict).encode()).hexdigest()


def _is_whole(response: ChatResponse, request: ChatRequest) -> bool:
    """An answer worth keeping: neither cut, nor refused, nor empty, nor without its shape."""
    if response.finish_reason != "stop" or not response.text.strip():
        return False
    if request.schema is None:
        return True
    try:
        json.loads(response.text)
    except ValueError:
        return False
    return True
