"""Receipts, as the lines that a scanner read: company, date, address, total. Made for SROIE (ICDAR 2019)."""

import re

from pydantic import BaseModel, ConfigDict

from shoal import Agent


class Receipt(BaseModel):
    """As written; null where the receipt does not say. Lines of an address are joined by spaces."""

    model_config = ConfigDict(frozen=True)

    company: str | None = None
    date: str | None = None
    address: str | None = None
    total: str | None = None


def copies_the_receipt(text: str, receipt: Receipt) -> bool:
    """Date and total stand there to the letter, and most words of company and address: labels mend some."""
    letters = re.sub(r"\W", "", text).casefold()
    exact = all(value is None or value in text for value in (receipt.date, receipt.total))
    words = re.findall(r"\w+", f"{receipt.company or ''} {receipt.address or ''}".casefold())
    return exact and sum(word in letters for word in words) >= 0.8 * len(words)


def total_is_a_sum(_text: str, receipt: Receipt) -> bool:
    return receipt.total is None or re.search(r"\d", receipt.total) is not None


receipt_reader = Agent(
    "receipt-reader",
    job="Read a receipt and give company, date, address and total as JSON.",
    model="embedded:smollm2:135m",
    output=Receipt,
    checks=[copies_the_receipt, total_is_a_sum],
    max_tokens=256,
)
