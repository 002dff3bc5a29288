"""What a fake model will say, worked out before it is said: tokens, logprobs and why it stops."""

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.core.chat import TokenLogprob
from shoal.testing.ollama.chat_request import ChatCall
from shoal.testing.ollama.model import FakeAnswer, split_tokens

__all__ = ["Speech", "plan_speech"]

MAX_REPEATS = 30
"""Equal tokens in a row after which the server gives up, without a `done` line."""
FORCED_LOGPROB = -9.0
"""Of the signs that a schema forces: left alone, the model would hardly ever have said them."""
LIKELY_LOGPROB = -0.25
OTHERS = tuple((f"other{place}", -2.0 - place / 2) for place in range(20))
"""What the model might have said instead, the same at every token."""
MAX_ANSWER = 10
"""Times num_ctx, where num_predict sets no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    thoughts: Sequence[str]
    tokens: Sequence[TokenLogprob]
    done_reason: str | None
    """None: the server gives up without saying so."""

    @property
    def eval_count(self) -> int:
        """Generated tokens; the one that ends an answer counts."""
        return len(self.thoughts) + len(self.tokens) + (self.done_reason == "stop")


def plan_speech(call: ChatCall, answer: FakeAnswer, *, prompt_tokens: int) -> Speech:
    """Cut the answer at stop sequences, at num_predict, at the window's end and at endless repetition."""
    thoughts = split_tokens(answer.thinking or ("Let me think." if call.thinks else ""))
    tokens = list(answer.tokens) or _with_logprobs(answer.text, forced=call.body.format is not None)
    reason: str | None = "stop"
    tokens = _until_stop(tokens, call.stops)
    limit = call.body.options.get("num_predict", -1)
    limit = limit if limit > 0 else MAX_ANSWER * call.num_ctx
    if not call.body.shift:
        limit = min(limit, call.num_ctx - prompt_tokens + 1)
    room = max(0, limit - len(thoughts))
    if len(tokens) >= room:
        tokens, reason = tokens[:room], "length"
    sound = _sound_length(tokens)
    if sound < len(tokens):
        tokens, reason = tokens[:sound], None
    return Speech(thoughts=thoughts, tokens=tokens, done_reason=reason)


def _with_logprobs(text: str, *, forced: bool) -> list[TokenLogprob]:
    tokens: list[TokenLogprob] = []
    for part in split_tokens(text):
        is_sign = forced and not part.strip().isalnum()
        logprob = FORCED_LOGPROB if is_sign else LIKELY_LOGPROB
        top = sorted(((part, logprob), *OTHERS), key=lambda each: -each[1])
        tokens.append(TokenLogprob(text=part, logprob=logprob, top=tuple(top[: len(OTHERS)])))
    return tokens


def _until_stop(tokens: list[TokenLogprob], stops: Sequence[str]) -> list[TokenLogprob]:
    text = "".join(token.text for token in tokens)
    end = min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))
    kept: list[TokenLogprob] = []
    for token in tokens:
        part = token.text[: max(0, end)]
        end -= len(token.text)
        if part:
            kept.append(TokenLogprob(text=part, logprob=token.logprob, top=token.top))
    return kept


def _sound_length(tokens: Sequence[TokenLogprob]) -> int:
    last, repeats = "", 0
    for place, token in enumerate(tokens):
        word = token.text.strip()
        repeats = repeats + 1 if word == last else 0
        last = word
        if repeats > MAX_REPEATS:
            return place
    return len(tokens)
