"""Currencies: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

exchange = Agent(
    "exchange",
    job="Answer questions about currencies, exchange rates and exchange fees.",
    model=quote,
    knowledge="agents/handbook/exchange",
)
