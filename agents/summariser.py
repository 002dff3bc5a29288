"""Summaries: two sentences of the mail itself, so that nothing is invented.

A chat model may write them instead, with the same checks: `model="ollama:gemma3:4b"`. The small model that
Shoal fetches for a first run is not up to it: of five mails it gave five false accounts.
"""

from shoal import Agent
from tools.faithful import is_shorter, keeps_the_names, keeps_the_numbers
from tools.summary import summarise

summariser = Agent(
    "summariser",
    job="Summarise a long mail in two sentences: what happened and what the customer asks for.",
    model=summarise,
    checks=[is_shorter, keeps_the_numbers, keeps_the_names],
    max_tokens=120,
)
