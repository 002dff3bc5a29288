"""`read_transactions`: which date and which name belong to which amount."""

import pytest

from tools.transaction import TransactionReport, names_an_amount, read_transactions

Row = tuple[str, str, str | None, str | None]


def rows(report: TransactionReport) -> list[Row]:
    return [
        (str(one.amount), one.currency, one.when and one.when.text, one.payee) for one in report.transactions
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("On 3 May I paid £20 at Lidl.", [("20", "GBP", "3 May", "Lidl")]),
        (
            "£49.99 at Steam Games on 11 October, £4.99 at Google Play on 12 October",
            [
                ("49.99", "GBP", "11 October", "Steam Games"),
                ("4.99", "GBP", "12 October", "Google Play"),
            ],
        ),
        (
            "on 3 March I paid £24.50 at Pizza Roma, and on 5 March £9.99 to Spotify",
            [("24.50", "GBP", "3 March", "Pizza Roma"), ("9.99", "GBP", "5 March", "Spotify")],
        ),
        (
            "FitLife took £39 on 1 February and £39 again on 1 March, but I had left.",
            [("39", "GBP", "1 February", "FitLife"), ("39", "GBP", "1 March", "FitLife")],
        ),
        (
            "the hotel Miramar in Lisbon charged €420.00, although I cancelled on 29 August",
            [("420.00", "EUR", "29 August", "Miramar")],
        ),
        (
            "17/11/2026 Shell Oxford £48.20\n18/11/2026 Transfer to Maria Schulz £350.00",
            [
                ("48.20", "GBP", "17/11/2026", "Shell Oxford"),
                ("350.00", "GBP", "18/11/2026", "Maria Schulz"),
            ],
        ),
        (
            "14/02/2026 EUR 59.90 Zalando, 16/02/2026 EUR 12.00 Parkhaus Mitte",
            [("59.90", "EUR", "14/02/2026", "Zalando"), ("12.00", "EUR", "16/02/2026", "Parkhaus Mitte")],
        ),
        (
            "1) Steam 49.99 USD, 11 Oct 2) Google 4.99 USD, 12 Oct",
            [("49.99", "USD", "11 Oct", "Steam"), ("4.99", "USD", "12 Oct", "Google")],
        ),
        (
            "yesterday I spent 20 pounds at Boots and 6 pounds at Costa",
            [("20", "GBP", "yesterday", "Boots"), ("6", "GBP", "yesterday", "Costa")],
        ),
        ("They owe me £5. On Monday I saw Tom.", [("5", "GBP", None, None)]),
        ("I paid £5 by Visa at tesco", [("5", "GBP", None, None)]),
        ("", []),
    ],
)
def test_reads(text: str, expected: list[Row]) -> None:
    assert rows(read_transactions(text)) == expected


def test_cards_and_references_stand_apart() -> None:
    report = read_transactions("£64 to Ticketland, order TL-88123, card ending 8812.")

    assert (report.cards, report.references) == (("8812",), ("TL-88123",))


def test_a_report_without_amounts_fails_its_check() -> None:
    assert not names_an_amount("hello", read_transactions("hello"))
    assert names_an_amount("£5", read_transactions("£5"))


@pytest.mark.parametrize("piece", ["Aa ", "Aa in ", "1,234", "one ", "order ", "Lidl £1 "])
def test_hostile_text_is_read_in_time(piece: str) -> None:
    """Patterns that backtrack would take minutes here."""
    report = read_transactions(piece * 3_000)

    assert len(report.transactions) == piece.count("£") * 3_000
