"""Folds the lines of one streamed Ollama answer into deltas and a response, and says when it is none."""

import time
from typing import final

from shoal.core.chat import ChatDelta, ChatResponse, TokenLogprob
from shoal.core.errors import ContextOverflow, OutputInvalid, StreamBroken
from shoal.models.ollama_error import from_line
from shoal.models.ollama_info import OllamaInfo
from shoal.models.ollama_wire import ChatLine, parse_logprobs, parse_usage

__all__ = ["OllamaAnswer"]


@final
class OllamaAnswer:
    """Folds the lines of one answer."""

    def __init__(self, info: OllamaInfo) -> None:
        self._info = info
        self._asked = time.perf_counter()
        self._first_token_s: float | None = None
        self._text: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._wrote_elsewhere = False
        self._last: ChatLine | None = None

    def add(self, line: ChatLine) -> ChatDelta:
        """Take the next line.

        Raises:
            StreamBroken: the line says that the engine failed.
            OutputInvalid: it says that the engine could not read what the model wrote.
        """
        if line.error is not None:
            raise from_line(line.error, model=self._info.model.name)
        message = line.message
        self._wrote_elsewhere |= bool(message.thinking or message.tool_calls)
        only_thoughts = bool(message.thinking) and not message.content
        delta = ChatDelta(text=message.content, tokens=() if only_thoughts else parse_logprobs(line))
        if self._first_token_s is None and not line.done:
            self._first_token_s = time.perf_counter() - self._asked
        self._text.append(delta.text)
        self._tokens.extend(delta.tokens)
        if line.done:
            self._last = line
        return delta

    def finish(self) -> ChatResponse:
        """The response, once the stream has ended.

        Raises:
            StreamBroken: no line said that the answer was done, or said why.
            ContextOverflow: the engine counted a prompt that filled the window, so it was cut.
            OutputInvalid: all that the model wrote went into thoughts or tool calls.
        """
        last, name, text = self._last, self._info.model.name, "".join(self._text)
        if last is None:
            raise StreamBroken(
                f"the answer of {name} stopped before its end",
                why="Ollama closed the stream without done: true, as it does when a token repeats 30 times",
            )
        if last.done_reason not in {"stop", "length"}:
            raise StreamBroken(
                f"the answer of {name} stopped before its end", why=f'done_reason is "{last.done_reason}"'
            )
        if last.prompt_eval_count is not None and last.prompt_eval_count >= self._info.num_ctx:
            raise ContextOverflow(
                f"the prompt fills the context window of {name}",
                why=f"{last.prompt_eval_count} tokens in a window of {self._info.num_ctx}; some may be lost",
                mend="shorten the prompt, or raise num_ctx in [ollama] of shoal.toml",
            )
        if not text and self._wrote_elsewhere:
            raise OutputInvalid(
                f"{name} wrote no answer",
                text="",
                why=f"its {last.eval_count} tokens went into thoughts or tool calls, which nobody asked for",
                mend="raise max_tokens, or choose a model that can answer without thinking",
            )
        return ChatResponse(
            text=text,
            finish_reason="stop" if last.done_reason == "stop" else "length",
            usage=parse_usage(last, first_token_s=self._first_token_s),
            model=name,
            digest=self._info.model.digest,
            tokens=tuple(self._tokens),
        )
