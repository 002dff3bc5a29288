"""How many tokens a prompt has at least, for engines that cannot be asked: so that nothing is cut in silence.

A lower bound and no estimate: who refuses a prompt by it must be right. Two things bound it. Tokenizers do
not join words, so a prompt has a token for each word at least. And a token stands for so many bytes on
average and no more, which is learnt per model from what the engine itself counted. Not a tokenizer, and not
the last word: what the bound lets through the engine may still refuse.
"""

import re
from collections.abc import Sequence
from typing import final

from shoal.core.chat import ChatRequest, Message
from shoal.core.errors import ContextOverflow, ShoalError

__all__ = ["PromptWindow"]

LARGEST_BYTES = 16.0
"""Bytes a token stands for on average, taken while nothing was learnt. Measured with SmolLM2's vocabulary:
digits 1, code 3.4, English 4.2 to 5, nothing but the longest common words 13.9."""
LEAST_BYTES = 8.0
"""However few were learnt: what comes next may be quite another text."""
MARGIN = 2.0
"""Another text may have so many times more bytes a token than any that was seen."""
ENOUGH_TOKENS = 200
"""Shorter prompts teach nothing: the template's own tokens weigh too much."""
REPEATED = re.compile(r"(.)\1{3,}", re.DOTALL)
"""Vocabularies have tokens for long runs of one sign, so a run counts as three."""


@final
class PromptWindow:
    """The window of one model, and what is known about its tokens."""

    def __init__(self, model: str, setting: str) -> None:
        """`setting`: where the size of the window is set, for a person to mend it."""
        self._model = model
        self._setting = setting
        self._most_bytes: float | None = None
        """Bytes a token, the most seen in one prompt."""

    def check_fits(self, request: ChatRequest, num_ctx: int | None) -> None:
        """Refuse what certainly does not fit, before it is sent.

        Raises:
            ContextOverflow: with its numbers.
        """
        if num_ctx is None or sum(len(message.content) for message in request.messages) < num_ctx:
            return  # a token has a character at least, so there is nothing to look at
        words, size = _measure(request.messages)
        least = self._least(words, size)
        if least >= num_ctx:
            raise ContextOverflow(
                f"the prompt does not fit {self._model}",
                why=f"its {words:,} words are at least {least:,} tokens, and the window has {num_ctx:,},"
                " the answer included; nothing was sent",
                mend=f"shorten the prompt, or raise {self._setting}",
            )

    def numbered(self, error: ShoalError, request: ChatRequest, num_ctx: int) -> ShoalError:
        """The engine's own refusal of a prompt with the numbers that engines leave out; others unchanged."""
        if not isinstance(error, ContextOverflow):
            return error
        words, size = _measure(request.messages)
        why = f"{words:,} words, at least {self._least(words, size):,} tokens, in a window of {num_ctx:,}"
        return ContextOverflow(error.what, why=f"{why}; {error.why}", mend=error.mend)

    def check_read(self, request: ChatRequest, read: int | None, num_ctx: int | None) -> None:
        """See that the engine read the whole prompt, and learn from its count.

        Args:
            request: what was asked.
            read: tokens of the prompt that the engine says it read; None or 0 = it does not say.
            num_ctx: tokens of the window; None = unknown.

        Raises:
            ContextOverflow: the engine answered although it read fewer tokens than the prompt has at least.
        """
        if not read:
            return
        words, size = _measure(request.messages)
        least = self._least(words, size)
        if read < least:
            window = "unknown" if num_ctx is None else f"{num_ctx:,} tokens"
            raise ContextOverflow(
                f"{self._model} did not read the whole prompt, and answered all the same",
                why=f"it read {read:,} tokens of at least {least:,}; its window: {window}",
                mend=f"shorten the prompt, or correct {self._setting}",
            )
        if read >= ENOUGH_TOKENS:
            self._most_bytes = max(self._most_bytes or 0.0, size / read)

    def _least(self, words: int, size: int) -> int:
        seen = self._most_bytes
        most = LARGEST_BYTES if seen is None else min(LARGEST_BYTES, max(LEAST_BYTES, MARGIN * seen))
        return max(words, int(size / most))


def _measure(messages: Sequence[Message]) -> tuple[int, int]:
    """Words and bytes, runs of one sign shortened."""
    texts = [message.content for message in messages]
    words = sum(len(text.split()) for text in texts)
    size = sum(len(REPEATED.sub(r"\1\1\1", text).encode(errors="replace")) for text in texts)
    return words, size
