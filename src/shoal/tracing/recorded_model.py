"""A chat model whose every call leaves a row in the ledger and a span, whether it ends well or not.

Not a place for decisions: it passes everything on unchanged. It stands under retry, so that each try is a row
of its own, and above the queue, so that waiting for a place is part of the call.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import final

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import StreamBroken
from shoal.core.port import ChatModel, ModelInfo
from shoal.core.usage import Usage, add_known
from shoal.tracing.cost import FROM_CACHE, CostModel
from shoal.tracing.energy import Energy, EnergyMeter
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import CallRow, CallStatus, new_id
from shoal.tracing.scope import Scope, current_scope
from shoal.tracing.spans import NoSpans, Spans

__all__ = ["RecordedModel", "Recorder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Where calls are recorded, and what they are costed with. One for all models of an engine."""

    ledger: Ledger
    costs: CostModel = field(default_factory=CostModel)
    meter: EnergyMeter | None = None
    """For calls that work on this machine; None = what they take is unknown."""
    spans: Spans = field(default_factory=NoSpans)


@final
class RecordedModel:
    """Wraps a model. A call outside any scope is recorded as well, with no run."""

    def __init__(self, inner: ChatModel, recorder: Recorder, *, remote: bool = False) -> None:
        """`remote`: the model works on another machine, so it costs its price and no energy of ours."""
        self._inner = inner
        self._recorder = recorder
        self._remote = remote

    @property
    def name(self) -> str:
        return self._inner.name

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask. The response is passed on once its row is committed.

        Raises:
            StorageError: the call could not be recorded.
            ShoalError: whatever the wrapped model raises.
        """
        # Read here and not in the generator, which runs later and perhaps in another context.
        return self._recorded(self._inner.stream(request), request, current_scope.get())

    async def describe(self) -> ModelInfo:
        return await self._inner.describe()

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def aclose(self) -> None:
        """Close the wrapped model; the ledger stays open."""
        await self._inner.aclose()

    async def _recorded(
        self, inner: AsyncGenerator[ChatEvent], request: ChatRequest, scope: Scope
    ) -> AsyncGenerator[ChatEvent]:
        call = _Call(self._recorder, request, scope, model=self.name, remote=self._remote)
        try:
            async with aclosing(inner) as events:
                async for event in events:
                    if isinstance(event, ChatResponse):
                        cost_usd = await call.end("ok", response=event)
                        yield event if event.from_cache else replace(event, cost_usd=cost_usd)
                    else:
                        call.saw(event)
                        yield event
        except (GeneratorExit, asyncio.CancelledError):
            await call.end("cancelled")
            raise
        except BaseException as error:
            await call.end("error", error=error)
            raise
        await call.end("error", error=StreamBroken("the stream ended without a response"))


class _Call:
    """One call from its start to its row. What is known when it ends is all that is written."""

    def __init__(
        self, recorder: Recorder, request: ChatRequest, scope: Scope, *, model: str, remote: bool
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._model = model
        self._adapter = request.adapter
        self._remote = remote
        self._meter = None if remote else recorder.meter
        self._window = self._meter.begin() if self._meter else None
        self._span = recorder.spans.start_chat(model, request, scope)
        self._started_at = time.time()
        self._clock = time.perf_counter()
        self._first_token_s: float | None = None
        self._tokens: int | None = None
        self._has_ended = False

    def saw(self, delta: ChatDelta) -> None:
        if self._first_token_s is None:
            self._first_token_s = time.perf_counter() - self._clock
        if delta.tokens:
            self._tokens = (self._tokens or 0) + len(delta.tokens)

    async def end(
        self,
        status: CallStatus,
        *,
        response: ChatResponse | None = None,
        error: BaseException | None = None,
    ) -> float | None:
        """Write the row, close the span, and say what it cost. Only the first end of a call counts."""
        if self._has_ended:
            return None
        self._has_ended = True
        row = self._row(status, response, error)
        self._span.end(row, response)
        await self._recorder.ledger.add_call(row)
        return row.cost_usd

    def _row(self, status: CallStatus, response: ChatResponse | None, error: BaseException | None) -> CallRow:
        latency_s = time.perf_counter() - self._clock
        # Without a response, only tokens that came with logprobs could be counted.
        usage = response.usage if response is not None else Usage(output_tokens=self._tokens)
        energy = self._energy(usage, latency_s)
        from_cache = response is not None and response.from_cache
        if from_cache:
            cost = FROM_CACHE
        else:
            cost = self._recorder.costs.cost(usage, model=self._model, remote=self._remote, energy=energy)
        engine, _, model = self._model.partition(":")
        scope = self._scope
        return CallRow(
            id=new_id(),
            engine=engine,
            model=model,
            status=status,
            started_at=self._started_at,
            latency_s=latency_s,
            run_id=scope.run_id,
            step_id=scope.step_id,
            agent=scope.agent,
            purpose=scope.purpose,
            attempt=scope.attempt,
            digest=None if response is None else response.digest,
            adapter=self._adapter,
            remote=self._remote,
            finish_reason=None if response is None else response.finish_reason,
            error_class=None if error is None else type(error).__name__,
            error=None if error is None else str(error),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            queue_s=usage.queue_s,
            load_s=usage.load_s,
            prefill_s=usage.prefill_s,
            decode_s=usage.decode_s,
            first_token_s=self._first_token_s if usage.first_token_s is None else usage.first_token_s,
            energy_j=0.0 if from_cache else None if energy is None else energy.joules,
            energy_method="none" if energy is None else energy.method,
            cost_usd=cost.amount_usd,
            cost_method=cost.method,
            cost_terms=cost.terms,
            from_cache=from_cache,
            saved_usd=response.cost_usd if response is not None and from_cache else None,
        )

    def _energy(self, usage: Usage, latency_s: float) -> Energy | None:
        if self._meter is None or self._window is None:
            return None
        busy_s = add_known(usage.load_s, usage.prefill_s, usage.decode_s)
        if busy_s is None and usage.queue_s is not None:
            busy_s = max(0.0, latency_s - usage.queue_s)
        return self._meter.end(self._window, busy_s=busy_s)
