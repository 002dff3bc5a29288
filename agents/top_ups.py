"""Top-ups: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

top_ups = Agent(
    "top-ups",
    job="Answer questions about adding money: top-ups by card, cash or cheque, their fees and limits.",
    model=quote,
    knowledge="agents/handbook/top_ups",
)
