"""Reads payments out of a mail: amount, day, and who was paid, by patterns and layout alone.

An amount belongs to the date and the name beside it in the same sentence or line. What does not stand there
stays None: nothing is filled in.
"""

import re
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
    for found in amounts:
        yield Transaction(
            amount=found.value.amount,
            currency=found.value.currency,
            when=_beside(found, dates, first=amounts[0]),
            payee=_beside(found, payees, first=amounts[0]),
        )


def _beside(amount: Found[object], others: Sequence[Found[T]], *, first: Found[object]) -> T | None:
    """The one that belongs to the amount: a list has them all before its amounts, or all after them.

    Which of the two is told by the first amount: the nearer side.
    """
    before = [other.value for other in others if other.end <= amount.start]
    after = [other.value for other in others if other.start >= amount.end]
    if not before or not after:
        return next(iter(after), None) or (before[-1] if before else None)
    lead = min((first.start - other.end for other in others if other.end <= first.start), default=None)
    trail = min(other.start - first.end for other in others if other.start >= first.end)
    return after[0] if lead is None or trail < lead else before[-1]
