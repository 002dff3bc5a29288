"""Transfers: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

transfers = Agent(
    "transfers",
    job="Answer questions about bank transfers: sending, receiving, fees, delays, cancelling.",
    model=quote,
    knowledge="agents/handbook/transfers",
)
