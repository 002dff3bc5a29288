"""Card digits and references: found as people write them, and never a whole card number."""

import pytest

from tools.identifier import find_card_digits, find_references


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("my card ending 4821", ("4821",)),
        ("it ends in 4821.", ("4821",)),
        ("Visa **** 9034", ("9034",)),
        ("last four digits are 1234", ("1234",)),
        ("Card number 5521", ("5521",)),
        ("4111 1111 1111 1111", ("1111",)),
        ("4111111111111111", ("1111",)),
        ("4111-1111-1111-1112", ()),
        ("call 020 7946 0110", ()),
        ("card 5521, card ending 5521, card 7745", ("5521", "7745")),
        ("in 2026", ()),
    ],
)
def test_card_digits(text: str, digits: tuple[str, ...]) -> None:
    assert find_card_digits(text) == digits


@pytest.mark.parametrize(
    ("text", "references"),
    [
        ("order HE-20931", ("HE-20931",)),
        ("My reference is DD-77120.", ("DD-77120",)),
        ("booking number MR-55102", ("MR-55102",)),
        ("invoice: number 2026-113", ("2026-113",)),
        ("order #12345", ("12345",)),
        ("in order 2 pairs", ()),
        ("in any case 3 times", ()),
        ("reference rent March", ()),
        ("order A-1234 and order A-1234", ("A-1234",)),
    ],
)
def test_references(text: str, references: tuple[str, ...]) -> None:
    assert find_references(text) == references
