"""`find_money`: the ways people write amounts, and what is none."""

from decimal import Decimal

import pytest

from tools.money import find_money


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("£12", "12", "GBP"),
        ("£ 12.50", "12.50", "GBP"),
        ("£1,234", "1234", "GBP"),
        ("£1,234,567.89", "1234567.89", "GBP"),
        ("£1.459 a litre", "1.459", "GBP"),
        ("EUR 1.234,56", "1234.56", "EUR"),
        ("EUR 1.234", "1234", "EUR"),
        ("EUR59.90", "59.90", "EUR"),
        ("1.000.000 EUR", "1000000", "EUR"),
        ("1 234,56 EUR", "1234.56", "EUR"),
        ("€7,5", "7.5", "EUR"),
        ("12 €", "12", "EUR"),
        ("CHF 1'240.00", "1240.00", "CHF"),
        ("CHF 1\u2019240.00", "1240.00", "CHF"),
        ("US$40", "40", "USD"),
        ("A$20", "20", "AUD"),
        ("$1.", "1", "USD"),
        ("1£ charge", "1", "GBP"),
        ("£2k", "2000", "GBP"),
        ("£1.2 million", "1200000", "GBP"),
        ("50 pounds", "50", "GBP"),
        ("a 50-pound note", "50", "GBP"),
        ("50p", "0.5", "GBP"),
        ("99 cents", "0.99", "USD"),
        ("two hundred dollars", "200", "USD"),
        ("a hundred and twenty-five pounds", "125", "GBP"),
        ("two thousand five hundred euros", "2500", "EUR"),
        ("one hundred and one thousand quid", "101000", "GBP"),
        ("fifty pence", "0.5", "GBP"),
        ("-£20", "-20", "GBP"),
        ("-20 EUR", "-20", "EUR"),
        ("14/02/2026 EUR 59.90", "59.90", "EUR"),
        ("between 3-20 EUR", "20", "EUR"),
    ],
)
def test_reads(text: str, amount: str, currency: str) -> None:
    assert [(f.value.amount, f.value.currency) for f in find_money(text)] == [(Decimal(amount), currency)]


@pytest.mark.parametrize(
    "text",
    [
        "12.5 %",
        "paid 12.",
        "in 2026",
        "I have 3 cards",
        "at 5 p.m.",
        "5 km",
        "eurostar 5",
        "24/7",
        "pounds",
        "20 kr",
        "",
    ],
)
def test_reads_nothing(text: str) -> None:
    assert find_money(text) == ()


def test_finds_all_in_order_and_says_where() -> None:
    text = "£10-£20, then 5 USD"

    found = find_money(text)

    assert [text[one.start : one.end] for one in found] == ["£10", "£20", "5 USD"]
    assert [one.value.amount for one in found] == [10, 20, 5]
