"""What a customer's mail to a shop says, as typed data, and the checks on it."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tools.dates import find_dates
from tools.money import find_money

__all__ = [
    "MailFacts",
    "Topic",
    "amounts_are_money",
    "copies_the_mail",
    "misses_no_amount",
    "misses_no_date",
]

Topic = Literal[
    "delivery", "return", "defect", "refund", "billing", "cancellation", "account", "question", "praise"
]
AGO = re.compile(r"ago$", re.IGNORECASE)


class MailFacts(BaseModel):
    model_config = ConfigDict(frozen=True)

    topic: Topic
    """refund: money that should have come back; billing: charges and invoices; defect: broken or wrong."""
    order_id: str | None
    """The first that is named, as written, without "#"."""
    dates: list[str]
    """Days of the calendar as written, in the order of the mail; no weekdays, no "yesterday"."""
    amounts: list[str]
    """Sums with a currency as written, in the order of the mail."""
    urgency: Literal["low", "normal", "high"]
    """What the mail says itself: "as soon as possible" is high, "no hurry" is low."""


def copies_the_mail(text: str, facts: MailFacts) -> bool:
    """Order id, dates and amounts stand in the mail, letter for letter, dates and amounts in their order."""
    return (
        (facts.order_id is None or facts.order_id in text)
        and _in_order(text, facts.dates)
        and _in_order(text, facts.amounts)
    )


def amounts_are_money(_text: str, facts: MailFacts) -> bool:
    """Each has a figure, and more than a figure."""
    return all(re.search(r"\d", amount) and not amount.isdigit() for amount in facts.amounts)


def misses_no_amount(text: str, facts: MailFacts) -> bool:
    """As many as can be read without a model, at least; those written in words aside."""
    figures = [found for found in find_money(text) if re.search(r"\d", text[found.start : found.end])]
    return len(facts.amounts) >= len(figures)


def misses_no_date(text: str, facts: MailFacts) -> bool:
    """As many as can be read without a model, at least."""
    days = [found.value.text for found in find_dates(text) if re.search(r"\d", found.value.text)]
    return len(facts.dates) >= sum(not AGO.search(day) for day in days)


def _in_order(text: str, parts: list[str]) -> bool:
    at = 0
    for part in parts:
        found = text.find(part, at)
        if not part or found < 0:
            return False
        at = found + len(part)
    return True
