"""Reads payments out of a mail: amount, day, and who was paid, by patterns and layout alone.

An amount belongs to the date and the name beside it in the same sentence or line. What does not stand there
stays None: nothing is filled in.
"""

import math
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from tools.dates import When, find_dates
from tools.found import Found
from tools.identifier import find_card_digits, find_references
from tools.money import find_money
from tools.payee import find_payees

__all__ = ["Transaction", "TransactionReport", "names_an_amount", "read_transactions"]

T = TypeVar("T")
UNIT_END = re.compile(r"\n+|;\s*|(?<=[a-z0-9)][.!?])\s+(?=[A-Z])|\s+(?=\d\)\s)")
"""A line, a sentence, or an item of a list ends."""


class Transaction(BaseModel):
    model_config = ConfigDict(frozen=True)

    amount: Decimal
    currency: str
    """ISO 4217 code."""
    when: When | None
    payee: str | None
    """Shop, company or person, as written."""


class TransactionReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    transactions: tuple[Transaction, ...]
    cards: tuple[str, ...]
    """Last four digits."""
    references: tuple[str, ...]


def read_transactions(text: str) -> TransactionReport:
    """Every amount in the text, in order, with what stands beside it; cards and reference numbers apart."""
    return TransactionReport(
        transactions=tuple(one for unit in UNIT_END.split(text) for one in _read_unit(unit)),
        cards=find_card_digits(text),
        references=find_references(text),
    )


def names_an_amount(_text: str, report: TransactionReport) -> bool:
    """A check: a report without transactions answers nothing."""
    return bool(report.transactions)


def _read_unit(unit: str) -> Iterator[Transaction]:
    amounts, dates = find_money(unit), find_dates(unit)
    payees = find_payees(unit, amounts, dates)
    for found, when, payee in zip(amounts, _beside(amounts, dates), _beside(amounts, payees), strict=True):
        yield Transaction(amount=found.value.amount, currency=found.value.currency, when=when, payee=payee)


def _beside(amounts: Sequence[Found[object]], others: Sequence[Found[T]]) -> Iterator[T | None]:
    """For every amount the one that belongs to it: a list has them all before its amounts, or all after.

    Which of the two is told by the first amount: the nearer side.
    """
    starts = [other.start for other in others]
    precede: bool | None = None
    for amount in amounts:
        at = bisect(starts, amount.start)
        before, after = others[at - 1] if at else None, others[at] if at < len(others) else None
        if precede is None:
            lead = amount.start - before.end if before else math.inf
            precede = lead <= (after.start - amount.end if after else math.inf)
        chosen = (before or after) if precede else (after or before)
        yield chosen.value if chosen else None
