from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shoal.harvesting.recogniser import find_personal
from shoal.harvesting.scrub import Scrubbed, Unscrubbable, scrub
from shoal.harvesting.surrogate import dress, is_nobodys, make_surrogate, plain

VALUES = {
    "email": ("Maria.Gold@gmx.de", "x@acme.co.uk", "jörg.ß@müller.de"),
    "url": ("https://bob:pw@acme.co.uk/u?id=7", "www.acme.de", "ftp://10.1.2.3/x"),
    "iban": ("DE89 3704 0044 0532 0130 00", "gb42nawi04454264788619"),
    "credit_card": ("4012-8888-8888-1881", "378282246310005", "501864667909"),
    "us_ssn": ("123-45-6789",),
    "mac_address": ("00:1b:44:11:3A:B7",),
    "ip_address": ("41.173.96.26", "2a02:8108::17"),
    "phone": ("+49 (0)30 9876543", "905-674-3793 x123", "0490 75 40 81", "467 3395"),
    "secret": ("sk-proj-abcdEFGH1234abcdEFGH", "password: hunter2", "pin: 4711a"),
}
PIECES = st.one_of(
    st.sampled_from([value for values in VALUES.values() for value in values]),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.from_regex(r"[0-9 .+()/-]{1,18}", fullmatch=True),
    st.sampled_from(
        ["call ", "to ", ", ", "\n", " and ", "order 12345", "2024-05-06 12:30", "EUR 1.234.567"]
    ),
)
TEXTS = st.lists(PIECES, max_size=7).map(" ".join)


def clean(text: str, rest: Any = None, **options: Any) -> Scrubbed:
    found = scrub(text, rest, key="row", **options)
    assert isinstance(found, Scrubbed), found
    return found


@settings(deadline=None, max_examples=60)
@given(TEXTS)
def test_nothing_personal_is_left_and_scrubbing_twice_changes_nothing(text: str) -> None:
    once = scrub(text, {"copy": text}, key="row")
    assume(isinstance(once, Scrubbed))
    assert isinstance(once, Scrubbed)
    assert find_personal(once.input) == ()
    assert once.rest == {"copy": once.input}
    assert scrub(once.input, once.rest, key="another") == Scrubbed(once.input, once.rest, {})


@settings(deadline=None, max_examples=60)
@given(TEXTS)
def test_every_text_can_be_scrubbed_and_the_same_key_gives_the_same_row(text: str) -> None:
    once = scrub(text, key="row")
    assert isinstance(once, Scrubbed)
    assert once == scrub(text, key="row")
    assert (once.input == text) == (not once.replaced)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in VALUES for value in VALUES[kind]])
def test_a_surrogate_is_nobodys_has_the_same_form_and_does_not_depend_on_the_value(
    kind: str, value: str
) -> None:
    if kind == "secret":
        value = value.rsplit(" ", maxsplit=1)[-1]
    bare = plain(kind, value)
    pieces = make_surrogate(kind, bare, Random("a"))
    assert len(pieces) == len(bare)
    new = "".join(dress(kind, value, pieces))
    assert is_nobodys(kind, new)
    assert not is_nobodys(kind, value)
    if kind in ("us_ssn", "phone"):
        other = bare[:3] + bare[3:].translate(str.maketrans("123456789", "234567891"))
        assert make_surrogate(kind, other, Random("a")) == pieces
    if kind not in ("email", "url", "ip_address", "mac_address"):
        assert [sign.isdecimal() for sign in new] == [sign.isdecimal() for sign in value]


def test_the_answer_copies_what_the_input_now_says() -> None:
    found = clean(
        "Card 4012-8888-8888-1881, mail Maria.Gold@GMX.de, IBAN DE89 3704 0044 0532 0130 00, order 12345",
        {
            "card": 4012888888881881,
            "last": "1881",
            "mail": "maria.gold@gmx.de",
            "host": "GMX.de",
            "iban": "DE89370400440532013000",
            "order": "12345",
            "note": ["4012888888881881 is cancelled", True, None, 1.5],
        },
    )
    squeezed = found.input.replace("-", "").replace(" ", "")
    assert str(found.rest["card"]) in squeezed
    assert found.rest["last"] == str(found.rest["card"])[-4:]
    assert found.rest["mail"] in found.input.lower()
    assert found.rest["host"] in found.input
    assert found.rest["iban"] in squeezed
    assert found.rest["order"] == "12345"
    assert found.rest["note"] == [f"{found.rest['card']} is cancelled", True, None, 1.5]
    assert found.replaced == {"credit_card": 1, "email": 1, "iban": 1}
    for value in ("8888", "1881", "gold", "gmx", "3704"):
        assert value not in str(found).lower()


def test_a_number_that_a_word_gave_away_is_replaced_where_no_word_stands_too() -> None:
    found = clean("My phone: 123456789. Again, 123456789!", {"n": "123456789"})
    assert "123456789" not in str(found)
    assert found.input.count(found.rest["n"]) == 2


def test_different_values_get_different_ones() -> None:
    numbers = [f"905-674-3{n:03}" for n in range(200)]
    found = clean(" or ".join(numbers))
    assert len(set(found.input.split(" or "))) == 200


@pytest.mark.parametrize(
    ("text", "rest", "said"),
    [
        ("Mail maria@gmx.de", {"name": "maria"}, "cut out"),
        ("Call +49 (0)30 9876543", {"phone": "+49 30 9876543"}, "in a form that the input does not have"),
    ],
)
def test_a_row_whose_answer_would_be_invented_is_refused(text: str, rest: Any, said: str) -> None:
    found = scrub(text, rest, key="row")
    assert isinstance(found, Unscrubbable)
    assert said in found.reason


def test_an_answer_may_hold_a_value_of_its_own_kind() -> None:
    found = clean("Where is my parcel?", "Write to help@shop.de.")
    assert find_personal(found.rest) == ()
    assert found.rest != "Write to help@shop.de."
    assert (
        clean("Where is it?", "Write to help@shop.de.", keep=["Help@shop.de"]).rest
        == "Write to help@shop.de."
    )


def test_what_a_spotter_names_is_replaced_in_input_and_answer() -> None:
    found = clean(
        "Ann Lee lives at 12 Mill Road. Annabel does not.",
        {"name": "Ann Lee", "street": "12 Mill Road"},
        spotted=[
            ("PERSON", "Ann Lee"),
            ("STREET_ADDRESS", "12 Mill Road"),
            ("PERSON", "Ann"),
            ("PERSON", " "),
        ],
    )
    assert found.rest["name"] in found.input
    assert found.rest["street"] in found.input
    assert "Annabel does not" in found.input
    assert "Lee" not in str(found)
    assert "Mill" not in str(found)
    assert found.replaced["PERSON"] == 1


def test_a_person_is_the_same_in_capitals_and_by_one_name() -> None:
    found = clean(
        "I am John Smith. Mr Smith's order is late. Regards, JOHN SMITH",
        {
            "name": "John Smith",
            "family": "Smith",
            "small": "john smith",
            "why": "John Smith complains; John says so, Smith, John_Smith.",
        },
        spotted=[("PERSON", "John Smith")],
    )
    given, family = found.rest["name"].split()
    assert found.input == (
        f"I am {given} {family}. Mr {family}'s order is late. Regards, {given.upper()} {family.upper()}"
    )
    assert found.rest == {
        "name": f"{given} {family}",
        "family": family,
        "small": f"{given} {family}".lower(),
        "why": f"{given} {family} complains; {given} says so, {family}, {given}_{family}.",
    }
    assert {given, family}.isdisjoint({"John", "Smith"})
    assert found.replaced == {"PERSON": 1}


@pytest.mark.parametrize(
    ("name", "text", "gone"),
    [
        ("Ann Lee", "Ann Lee here. Thanks, Lee", "Lee"),
        ("Li Wei", "Li Wei here. Thanks, LI", "li"),
        ("Ann lee", "Ann lee here. Thanks, Lee", "lee"),
        ("Mr. O'Brien", "Mr. O'Brien here. Thanks, O\u2019BRIEN", "brien"),
        ("Anna Weiß", "Anna Weiß here. Thanks, WEISS", "weiss"),
        ("李明", "我叫李明。", "李明"),
    ],
)
def test_no_word_of_a_name_is_left(name: str, text: str, gone: str) -> None:
    found = clean(text, name, spotted=[("PERSON", name)])
    assert gone.casefold() not in found.input.casefold()
    assert found.rest in found.input
    assert found.replaced == {"PERSON": 1}


def test_names_that_are_words_are_replaced_where_they_have_a_capital() -> None:
    found = clean(
        "Will Rose here, I will send a rose. May Lee too; may I? Signed, Will, May",
        spotted=[("PERSON", "Will Rose"), ("PERSON", "May Lee"), ("PERSON", "Will")],
    )
    (will, rose), (may, lee) = found.input.split()[:2], found.input.split()[8:10]
    assert found.input == (
        f"{will} {rose} here, I will send a rose. {may} {lee} too; may I? Signed, {will}, {may}"
    )
    assert len({will, rose, may, lee} - {"Will", "Rose", "May", "Lee"}) == 4
    assert found.replaced == {"PERSON": 2}


def test_titles_and_links_of_a_name_stay() -> None:
    found = clean(
        "Dr. Ursula von der Leyen asks. Dr. Meier von nebenan",
        spotted=[("PERSON", "Dr. Ursula von der Leyen")],
    )
    assert found.input.startswith("Dr. ")
    assert " von der " in found.input
    assert found.input.endswith("Dr. Meier von nebenan")
    assert "Leyen" not in found.input


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("John Smith", "John Smith here, my user is johnsmith84", None),
        ("John Smith", "John Smith here, for all the Smiths", None),
        ("john smith", "john smith here. thanks, john", None),
        ("Ann Lee", "Ann Lee here", {"name": "ann"}),
    ],
)
def test_a_row_that_still_names_somebody_is_refused(name: str, text: str, answer: Any) -> None:
    found = scrub(text, answer, key="row", spotted=[("PERSON", name)])
    assert isinstance(found, Unscrubbable)
    assert "still names a person" in found.reason


def test_a_name_that_is_kept_stays() -> None:
    found = clean(
        "Ann Lee of Lee & Co, mail ann.lee@lee.de. Lee",
        spotted=[("PERSON", "Ann Lee")],
        keep=["Lee & Co", "ann.lee@lee.de"],
    )
    family = found.input.split()[1]
    assert family != "Lee"
    assert found.input.endswith(f" {family} of Lee & Co, mail ann.lee@lee.de. {family}")


def test_many_persons_stay_different_ones() -> None:
    names = [f"{sign}ara {sign}olt" for sign in "BCDFGHJKLMNPRSTVWZ"]
    found = clean(", ".join(names), spotted=[("PERSON", name) for name in names])
    assert len(set(found.input.split(", "))) == len(names)
    assert found.replaced == {"PERSON": len(names)}
