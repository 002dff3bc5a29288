"""Questions about given passages: which passage answers, the words that do, and the answer in them; or null.

A quote that does not stand in its passage letter for letter, or does not hold the answer, is noticed.
"""

from shoal import Agent
from tools.passage import PassageAnswer, answer_is_in_the_quote, quotes_the_passage

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
