"""The checks on what was read in a mail."""

from typing import Any

import pytest

from tools.mail import MailFacts, amounts_are_money, copies_the_mail, misses_no_amount, misses_no_date

MAIL = "Order KX-12 of 3 May for £20 came on 5 May, but I paid £25 three days ago."
RIGHT = {
    "topic": "billing",
    "order_id": "KX-12",
    "dates": ["3 May", "5 May"],
    "amounts": ["£20", "£25"],
    "urgency": "normal",
}


def facts(**changes: Any) -> MailFacts:
    return MailFacts.model_validate({**RIGHT, **changes})


def test_the_right_facts_pass() -> None:
    for check in (copies_the_mail, amounts_are_money, misses_no_amount, misses_no_date):
        assert check(MAIL, facts()), check


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": "KX-13"},
        {"dates": ["5 May", "3 May"]},
        {"dates": ["4 May"]},
        {"amounts": ["£20", "£20"]},
        {"amounts": [""]},
    ],
)
def test_what_is_not_in_the_mail_in_this_order_is_noticed(changes: dict[str, Any]) -> None:
    assert not copies_the_mail(MAIL, facts(**changes))


def test_a_bare_number_is_no_amount() -> None:
    assert not amounts_are_money(MAIL, facts(amounts=["20"]))
    assert not amounts_are_money(MAIL, facts(amounts=["pounds"]))


def test_what_is_left_out_is_noticed_and_what_no_calendar_holds_is_not_missed() -> None:
    assert not misses_no_amount(MAIL, facts(amounts=["£20"]))
    assert not misses_no_date(MAIL, facts(dates=["3 May"]))
    assert misses_no_date("yesterday, or 2 days ago", facts(dates=[]))
    assert misses_no_amount("two hundred pounds", facts(amounts=[]))
