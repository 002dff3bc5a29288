"""Cards: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

cards = Agent(
    "cards",
    job="Answer questions about cards: ordering, activating, PIN, virtual cards, lost or stolen cards.",
    model=quote,
    knowledge="agents/handbook/cards",
)
