"""The checks on answers from passages: a quote is in its passage to the letter, an answer is in its quote."""

import pytest

from examples.readers.agents.passage_answerer import (
    PassageAnswer,
    answer_is_in_the_quote,
    quotes_the_passage,
    read_passages,
)
from shoal.agents.prompt import build_messages
from shoal.core.passage import Passage

TEXT = (
    "Passages:\n[1] ## Hours\n\nWe open at 9. [See 2] below.\n\n[2] We close at 17.\n\nWhen do you open? [1]"
)


def answer(passage: int | None, quote: str | None, words: str | None) -> PassageAnswer:
    return PassageAnswer(passage=passage, quote=quote, answer=words)


def test_passages_are_read_as_agents_are_shown_them() -> None:
    assert read_passages(TEXT) == {1: "## Hours\n\nWe open at 9. [See 2] below.", 2: "We close at 17."}
    assert read_passages("When do you open?") == {}


def test_passages_are_read_from_the_prompt_of_an_agent_with_knowledge() -> None:
    from examples.readers.agents.passage_answerer import passage_answerer

    shown = (
        Passage(text="One.", source="a.md", start=0, end=4),
        Passage(text="Two.", source="a.md", start=5, end=9),
    )
    message = build_messages(passage_answerer, "Which?", shown, None)[-1]
    assert read_passages(message.content) == {1: "One.", 2: "Two."}


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        (answer(1, "We open at 9.", "9"), True),
        (answer(2, "We open at 9.", "9"), False),
        (answer(3, "We open at 9.", "9"), False),
        (answer(1, "We open at 10.", "10"), False),
        (answer(1, "When do you open?", "open"), False),
        (answer(1, "", ""), False),
        (answer(1, None, None), False),
        (answer(None, "We open at 9.", "9"), False),
        (answer(None, None, None), True),
    ],
)
def test_quotes(said: PassageAnswer, passes: bool) -> None:
    assert quotes_the_passage(TEXT, said) is passes


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        (answer(1, "We open at 9.", "9"), True),
        (answer(1, "We open at 9.", "nine"), False),
        (answer(1, "We open at 9.", None), False),
        (answer(None, None, "9"), False),
        (answer(None, None, None), True),
    ],
)
def test_answers(said: PassageAnswer, passes: bool) -> None:
    assert answer_is_in_the_quote(TEXT, said) is passes
