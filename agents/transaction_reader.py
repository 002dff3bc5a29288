"""Transactions: amounts, days, payees, cards and reference numbers of a mail, as typed data."""

from shoal import Agent
from tools.transaction import TransactionReport, names_an_amount, read_transactions

transaction_reader = Agent(
    "transaction-reader",
    job="List the transactions named in a mail: amount, currency, date, payee, card and reference numbers.",
    model=read_transactions,
    output=TransactionReport,
    checks=[names_an_amount],
)
