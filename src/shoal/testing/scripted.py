"""A chat model that says what a test tells it to.

Not a mock: it keeps the port's promises (deltas join to the response, context and token limits hold,
closing cancels), so that what passes with it passes with an engine. Tokens are words.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import final

from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, FinishReason, TokenLogprob
from shoal.core.errors import ContextOverflow, ShoalError
from shoal.core.port import ModelInfo
from shoal.core.usage import Usage

__all__ = ["Script", "ScriptedModel", "Turn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the script, with what goes wrong in it."""

    text: str = ""
    at: int = 0
    """Deltas given out before `gate` and `error` come."""
    gate: asyncio.Event | None = None
    """Waited for after `at` deltas. One that is never set is an engine that hangs."""
    error: ShoalError | None = None
    """Raised after `at` deltas, or after the last one when there are fewer."""
    finish_reason: FinishReason = "stop"
    tokens: tuple[TokenLogprob, ...] = ()
    """Given out where logprobs are asked for. Empty: the words of `text` with logprob 0 (certain)."""
    usage: Usage | None = None
    """None: words of the prompt and of the answer, and no times."""
    probability: float | None = None


Script = str | Iterable[str | ShoalError | Turn] | Callable[[ChatRequest], str | ShoalError | Turn]
"""One text for every request, one answer a request in order, or a function of the request."""


@final
class ScriptedModel:
    """Answers from a script.

    A request after the end of the script raises `AssertionError`: the test did not expect it.
    """

    def __init__(
        self, script: Script, *, name: str = "scripted:model", info: ModelInfo | None = None
    ) -> None:
        self._name = name
        self._info = info or ModelInfo(
            name=name, num_ctx=4096, capabilities=frozenset({"logprobs", "schema", "adapters"})
        )
        self._next = script if callable(script) else _in_order(script)
        self.requests: list[ChatRequest] = []
        """Every request, in order of arrival, refused ones included."""
        self.closed_early = 0
        """Streams that were closed or cancelled before their response or error."""
        self.running = 0
        """Streams open now."""
        self.most_running = 0
        self.closed = False
        """`aclose` was called."""

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Play the next answer, a word a delta.

        Raises:
            ContextOverflow: prompt and `max_tokens` have more words than `info.num_ctx`.
            ShoalError: the one in the script.
        """
        self.requests.append(request)
        turn = _as_turn(self._next(request))
        answered = False
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            self._check_fits(request)
            async with aclosing(_play(turn, request, self._name, self._info.digest)) as events:
                async for event in events:
                    answered = isinstance(event, ChatResponse)
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.closed_early += not answered
            raise
        finally:
            self.running -= 1

    async def describe(self) -> ModelInfo:
        return self._info

    async def count_tokens(self, request: ChatRequest) -> int | None:
        return _count_words(request)

    async def aclose(self) -> None:
        self.closed = True

    def _check_fits(self, request: ChatRequest) -> None:
        words, num_ctx = _count_words(request), self._info.num_ctx
        if num_ctx is not None and words + request.max_tokens > num_ctx:
            raise ContextOverflow(
                f"the prompt does not fit {self._name}",
                why=f"{words} words and {request.max_tokens} for the answer, in a window of {num_ctx}",
                mend="shorten the prompt or give the ScriptedModel a larger num_ctx",
            )


def _in_order(
    script: str | Iterable[str | ShoalError | Turn],
) -> Callable[[ChatRequest], str | ShoalError | Turn]:
    turns = itertools.repeat(script) if isinstance(script, str) else iter(script)
    number = itertools.count(1)

    def next_turn(request: ChatRequest) -> str | ShoalError | Turn:
        call = next(number)
        for turn in turns:
            return turn
        raise AssertionError(f"the script has no answer for call {call}: {request.messages!r}")

    return next_turn


def _as_turn(answer: str | ShoalError | Turn) -> Turn:
    match answer:
        case Turn():
            return answer
        case ShoalError():
            return Turn(error=answer)
        case str():
            return Turn(text=answer)


async def _play(turn: Turn, request: ChatRequest, name: str, digest: str | None) -> AsyncGenerator[ChatEvent]:
    said: list[ChatDelta] = []
    deltas = _deltas(turn, request)
    for delta in deltas[: request.max_tokens]:
        if len(said) == turn.at:
            await _trouble(turn)
        else:
            await asyncio.sleep(0)  # as an engine would, let others run between two tokens
        said.append(delta)
        yield delta
    if turn.at >= len(said):
        await _trouble(turn)
    yield ChatResponse(
        text="".join(delta.text for delta in said),
        finish_reason="length" if len(said) < len(deltas) else turn.finish_reason,
        usage=turn.usage or Usage(input_tokens=_count_words(request), output_tokens=len(said)),
        model=name,
        digest=digest,
        tokens=tuple(token for delta in said for token in delta.tokens),
        probability=turn.probability,
    )


async def _trouble(turn: Turn) -> None:
    if turn.gate is not None:
        await turn.gate.wait()
    if turn.error is not None:
        raise turn.error


def _deltas(turn: Turn, request: ChatRequest) -> list[ChatDelta]:
    words = re.findall(r"\s*\S+|\s+$", turn.text)
    if request.top_logprobs is None:
        return [ChatDelta(text=word) for word in words]
    if turn.tokens:
        return [ChatDelta(text=token.text, tokens=(token,)) for token in turn.tokens]
    top = request.top_logprobs
    certain = [TokenLogprob(text=word, logprob=0.0, top=((word, 0.0),)[:top]) for word in words]
    return [ChatDelta(text=token.text, tokens=(token,)) for token in certain]


def _count_words(request: ChatRequest) -> int:
    return sum(len(message.content.split()) for message in request.messages)
