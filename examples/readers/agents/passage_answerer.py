"""An answer from given passages: the number of the passage, the words quoted, the answer in them; or nothing.

A quote that does not stand in its passage letter for letter, or does not hold the answer, is noticed.
Passages stand in the text as agents with knowledge are shown them: `[1] ...`, an empty line, `[2] ...`, and
the question last.
"""

import re

from pydantic import BaseModel, ConfigDict

from shoal import Agent

__all__ = ["PassageAnswer", "answer_is_in_the_quote", "quotes_the_passage", "read_passages"]

PASSAGE = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


class PassageAnswer(BaseModel):
    """All three, or null three times: the passages do not say."""

    model_config = ConfigDict(frozen=True)

    passage: int | None
    quote: str | None
    """Letter for letter as in the passage."""
    answer: str | None
    """A part of the quote."""


def read_passages(text: str) -> dict[int, str]:
    """Number to passage; what follows the last one, the question, belongs to none."""
    parts = PASSAGE.split(text.rpartition("\n\n")[0])
    return {int(number): passage.strip() for number, passage in zip(parts[1::2], parts[2::2], strict=True)}


def quotes_the_passage(text: str, answer: PassageAnswer) -> bool:
    """The quote stands in the passage that is named, letter for letter."""
    if answer.passage is None or answer.quote is None:
        return answer.passage is None and answer.quote is None
    return bool(answer.quote) and answer.quote in read_passages(text).get(answer.passage, "")


def answer_is_in_the_quote(_text: str, answer: PassageAnswer) -> bool:
    if answer.answer is None or answer.quote is None:
        return answer.answer is None and answer.quote is None
    return bool(answer.answer) and answer.answer in answer.quote


passage_answerer = Agent(
    "passage-answerer",
    job="Answer a question from passages: give passage number, quote and answer as JSON,"
    " or null when they do not say.",
    model="embedded:smollm2:135m",
    output=PassageAnswer,
    checks=[quotes_the_passage, answer_is_in_the_quote],
    max_tokens=256,
    timeout_s=30,
)
