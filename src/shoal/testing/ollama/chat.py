"""Answers `/api/chat`: takes its place at the scheduler, then says its tokens line by line."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, final

from shoal.core.chat import TokenLogprob
from shoal.testing.ollama.chat_request import ChatCall, check_call, fit
from shoal.testing.ollama.line import LineWriter
from shoal.testing.ollama.scheduler import Clock, Runner, Scheduler
from shoal.testing.ollama.speech import plan_speech

__all__ = ["ChatHandler"]

NS = 1e9


@final
class ChatHandler:
    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock

    async def answer(self, call: ChatCall, lines: LineWriter) -> None:
        """Send the lines of one answer.

        Raises:
            Refusal: nothing was sent; the answer is this status.
            Cut: the answer ended before its end.
        """
        check_call(call)
        model = call.model
        if model.remote_host:  # somebody else's scheduler
            await self._say(call, Runner(model, None, call.num_ctx, slots=1), 0.0, lines)
        elif not call.messages and call.keep_alive_s == 0:
            await self._scheduler.expire(model.key)
            await lines.send(_last_line(call, "unload"), last=True)
        else:
            await self._load_and_say(call, lines)

    async def _load_and_say(self, call: ChatCall, lines: LineWriter) -> None:
        model = call.model
        lease = self._scheduler.use(model, call.load_options, call.num_ctx, keep_alive_s=call.keep_alive_s)
        async with lease as leased:
            await self._clock.spend(model.prepare_s)
            if call.messages:
                await self._say(call, leased.runner, leased.load_s + model.prepare_s, lines)
            else:
                await lines.send(_last_line(call, "load"), last=True)

    async def _say(self, call: ChatCall, runner: Runner, load_s: float, lines: LineWriter) -> None:
        model, clock = call.model, self._clock
        seen, prompt = fit(call)
        answer = model.answer(seen)
        speech = plan_speech(call, answer, prompt_tokens=len(prompt))
        waiting = time.perf_counter()
        async with runner.slot(prompt) as cached:
            slot_s = clock.since(waiting, nominal=0)
            prefill_s = (len(prompt) - cached) * model.prefill_s
            await clock.spend(prefill_s)
            thoughts = (_line(call, {"thinking": thought}) for thought in speech.thoughts)
            words = (_token_line(call, token) for token in speech.tokens)
            for place, line in enumerate((*thoughts, *words)):
                await clock.spend(model.token_s if place else 0)  # the first one is the prompt's work
                await lines.send(line)
        if answer.tool_calls:
            await lines.send(_line(call, {"tool_calls": answer.tool_calls}))
        decode_s = max(0, speech.eval_count - 1) * model.token_s
        seconds = {
            "total_duration": load_s + slot_s + prefill_s + decode_s,
            "load_duration": load_s,
            "prompt_eval_duration": prefill_s,
            "eval_duration": decode_s,
        }
        counts = {"prompt_eval_count": len(prompt), "eval_count": speech.eval_count}
        metrics = counts | {name: round(value * NS) for name, value in seconds.items()}
        if speech.done_reason is None:
            await lines.flush()
        else:
            await lines.send(_last_line(call, speech.done_reason, metrics), last=True)


def _line(call: ChatCall, message: Mapping[str, Any], *, done: bool = False) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": call.body.model,
        "created_at": datetime.now(UTC).isoformat(),
        "message": {"role": "assistant", "content": "", **message},
        "done": done,
    }
    if call.model.remote_host:
        line |= {"remote_model": call.model.name, "remote_host": call.model.remote_host}
    return line


def _last_line(call: ChatCall, reason: str, metrics: Mapping[str, int] | None = None) -> dict[str, Any]:
    not_zero = {name: value for name, value in (metrics or {}).items() if value}  # the server leaves 0 out
    return {**_line(call, {}, done=True), "done_reason": reason, **not_zero}


def _token_line(call: ChatCall, token: TokenLogprob) -> dict[str, Any]:
    line = _line(call, {"content": token.text})
    if call.body.logprobs:
        top = [_logprob(*other) for other in token.top[: call.body.top_logprobs]]
        line["logprobs"] = [_logprob(token.text, token.logprob) | ({"top_logprobs": top} if top else {})]
    return line


def _logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
