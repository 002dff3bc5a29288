"""Cash: answers by quoting its chapter of the handbook."""

from shoal import Agent
from tools.lookup import quote

cash = Agent(
    "cash",
    job="Answer questions about cash machines and cash withdrawals.",
    model=quote,
    knowledge="agents/handbook/cash",
)
