"""Card payments: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

payments = Agent(
    "payments",
    job="Answer questions about card payments, direct debits, charges, disputes and refunds.",
    model=quote,
    knowledge="agents/handbook/payments",
)
