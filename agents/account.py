"""The account: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

account = Agent(
    "account",
    job="Answer questions about the account itself: opening, closing, identity, passcode, details.",
    model=quote,
    knowledge="agents/handbook/account",
)
