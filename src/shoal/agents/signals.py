"""Signals that can be read off one response, without another model call.

Confidence never comes from the mean logprob of forced JSON: a grammar makes the model say quotes and
keys it would not have said (logprobs of -7 to -14). Only the tokens of the *values* count. A specialist has
learnt to say all of its JSON, and there each token counts: which slot it names, and where it ends a list, is
as much of its answer as the words in it.
"""

import json
import math
import re
from collections import deque
from collections.abc import Sequence

from shoal.agents.validation import unfence
from shoal.core.chat import ChatResponse, TokenLogprob
from shoal.core.decision import Signals
from shoal.core.passage import Passage

__all__ = ["read_signals", "value_tokens"]

STRING = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
# Scanned left to right: a key (a string and its colon), or the values: a string, a number, a literal, and
# what is empty, for that there is nothing is an answer too.
VALUE = re.compile(
    rf"(?P<key>{STRING}\s*:)|{STRING}|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|\[\s*\]|\{{\s*\}}"
)
REFUSAL = re.compile(
    r"^\W*(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:not|'t)|won't)|as an ai\b"
    r"|sorry, (?:but )?i can)",
    re.IGNORECASE,
)


def read_signals(
    response: ChatResponse, *, is_forced: bool, passages: Sequence[Passage], repairs: int
) -> Signals:
    """Everything the response itself says. Schema and checks are added by the caller.

    `is_forced`: it is JSON that the model did not learn to say; a grammar may have made it.
    """
    counted = value_tokens(unfence(response.text), response.tokens) if is_forced else response.tokens
    logprobs = [token.logprob for token in counted]
    scores = [passage.score for passage in passages if passage.score is not None]
    return Signals(
        label_probability=response.probability,
        min_value_logprob=min(logprobs, default=None),
        mean_value_logprob=math.fsum(logprobs) / len(logprobs) if logprobs else None,
        margin=_margin(counted),
        repairs=repairs,
        refusal=response.finish_reason == "refusal" or bool(REFUSAL.match(response.text)),
        empty=not response.text.strip(),
        truncated=response.finish_reason == "length",
        retrieval_support=max(scores, default=None),
    )


def value_tokens(text: str, tokens: Sequence[TokenLogprob]) -> tuple[TokenLogprob, ...]:
    """The tokens that overlap a value of the JSON in `text`; the quotes around a string are forced.

    Tokens are placed by accumulating their text; if they do not add up to `text` (an engine stripped a
    fence, say) the offset of the JSON within them is looked for, and if it is not there, none is returned.
    """
    spoken = "".join(token.text for token in tokens)
    shift = spoken.find(text)
    if shift < 0:
        return ()
    spans = deque((start + shift, end + shift) for start, end in _values(text))
    chosen: list[TokenLogprob] = []
    position = 0
    for token in tokens:
        start, position = position, position + len(token.text)
        while spans and spans[0][1] <= max(start, spans[0][0]):
            spans.popleft()  # it ends before this token
        if spans and max(start, spans[0][0]) < position:
            chosen.append(token)
    return tuple(chosen)


def _values(text: str) -> list[tuple[int, int]]:
    try:
        json.loads(text)
    except ValueError:
        return []
    values = (match for match in VALUE.finditer(text) if match["key"] is None)
    return [match.span(3) if match[3] else match.span() for match in values]


def _margin(tokens: Sequence[TokenLogprob]) -> float | None:
    """Probability of the first minus the second alternative where they are closest."""
    gaps = [math.exp(token.top[0][1]) - math.exp(token.top[1][1]) for token in tokens if len(token.top) > 1]
    return min(gaps, default=None)
