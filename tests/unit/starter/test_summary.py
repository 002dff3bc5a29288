"""`summarise` picks sentences and changes none; the checks catch what a model would make up."""

import pytest

from tools.faithful import is_shorter, keeps_the_names, keeps_the_numbers
from tools.summary import summarise

from .conftest import Message

MAIL = """Please summarise this for the file:

Dear Sir or Madam,
I have banked with you for nine years. On 12 March I bought a machine for £189.00 at Holloway Electrics.
The machine never came and nobody answers. I would like you to claim the money back.
Kind regards,
Agnes Whitlow"""


def test_facts_and_request_in_their_order() -> None:
    assert summarise(MAIL) == (
        "On 12 March I bought a machine for £189.00 at Holloway Electrics."
        " I would like you to claim the money back."
    )


def test_without_a_request_the_two_weightiest_sentences() -> None:
    mail = "The cat sat there. My card was declined in the shop. The shop declined my card twice."

    assert summarise(mail) == "My card was declined in the shop. The shop declined my card twice."


@pytest.mark.parametrize(
    "text", ["Summarise this mail.", "tl;dr please", "", "One sentence is no mail at all."]
)
def test_where_there_is_no_mail_there_is_no_summary(text: str) -> None:
    assert summarise(text) is None


def test_the_shipped_mails_pass_the_checks(inbox: tuple[Message, ...]) -> None:
    mails = [message.text for message in inbox if message.agents == ("summariser",)]
    assert mails
    for mail in mails:
        summary = summarise(mail)
        assert summary is not None
        assert all(sentence in mail.replace("\n", " ") for sentence in summary.split(". "))
        assert is_shorter(mail, summary)
        assert keeps_the_numbers(mail, summary)
        assert keeps_the_names(mail, summary)


@pytest.mark.parametrize(
    ("answer", "numbers", "names"),
    [
        ("Agnes bought a machine for £189.00 on 12 March.", True, True),
        ("She wants £198.00 back.", False, True),
        ("She is 72 and wants the money.", False, True),
        ("She bought it at Woolworths.", True, False),
        ("Woolworths owes her money.", True, True),
        ("The customer wrote to Holloway Electrics.", True, True),
    ],
)
def test_numbers_and_names_must_stand_in_the_mail(answer: str, numbers: bool, names: bool) -> None:
    assert keeps_the_numbers(MAIL, answer) is numbers
    assert keeps_the_names(MAIL, answer) is names


def test_a_summary_is_shorter() -> None:
    assert is_shorter("x" * 100, "x" * 75)
    assert not is_shorter("x" * 100, "x" * 76)
