import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shoal.harvesting.recogniser import KINDS, find_personal

DATA = Path(__file__).parents[4] / "shared" / "data" / "privacy" / "pii" / "train.jsonl.gz"
LABELS = {
    "EMAIL_ADDRESS": "email",
    "DOMAIN_NAME": "url",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "credit_card",
    "IP_ADDRESS": "ip_address",
    "US_SSN": "us_ssn",
}


def named(text: str) -> list[tuple[str, str]]:
    return [(found.kind, text[found.start : found.end]) for found in find_personal(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Write to <Maria.Gold+x@mail.gmx.de>, please", "email", "Maria.Gold+x@mail.gmx.de"),
        ("jörg@müller.de wrote", "email", "jörg@müller.de"),
        ("See https://bob:pw@acme.co.uk/u?id=7.", "url", "https://bob:pw@acme.co.uk/u?id=7"),
        ("postgres://app:s3cret@db:5432/x is down", "url", "postgres://app:s3cret@db:5432/x"),
        ("to DE89 3704 0044 0532 0130 00 please", "iban", "DE89 3704 0044 0532 0130 00"),
        ("nl91abna0417164300", "iban", "nl91abna0417164300"),
        ("card 4012-8888-8888-1881 expired", "credit_card", "4012-8888-8888-1881"),
        ("Amex 378282246310005!", "credit_card", "378282246310005"),
        ("SSN 123-45-6789.", "us_ssn", "123-45-6789"),
        ("at 00:1B:44:11:3A:B7 now", "mac_address", "00:1B:44:11:3A:B7"),
        ("from 41.173.96.26, port 80", "ip_address", "41.173.96.26"),
        ("from 2a02:8108::17 today", "ip_address", "2a02:8108::17"),
        ("call +49 (0)30 9876543 now", "phone", "+49 (0)30 9876543"),
        ("my number is 9498777106", "phone", "9498777106"),
        ("ring 905-674-3793 x123", "phone", "905-674-3793 x123"),
        ("password: hunter2", "secret", "hunter2"),
        ("export KEY=sk-proj-abcdEFGH1234abcdEFGH", "secret", "abcdEFGH1234abcdEFGH"),
        ("Authorization: Bearer abc.DEF-1234567890", "secret", "abc.DEF-1234567890"),
        ("id AKIAIOSFODNN7ABCDEFG", "secret", "IOSFODNN7ABCDEFG"),
    ],
)
def test_what_has_a_form_is_found_to_the_character(text: str, kind: str, value: str) -> None:
    assert named(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "It came on 2003-08-28 12:13:52, not on 13.04.1978 or 2/8/1935.",
        "The total is 1.234.567,89 EUR, or $12 500 000 in all.",
        "Order 12345 has 17 parts; version 1.2.3 since 1998-2004.",
        "Write to someone@mail.example or see https://shop.example/x, from 192.0.2.7 or 127.0.0.1.",
        "DE88 3704 0044 0532 0130 00 has a wrong checksum in it",
        "The ratio is 12:34 and the mail was sent at 09:15.",
        "They live at 20789 1668 Glyn St",
        "The password is wrong and the token: invalid",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert named(text) == []


def test_a_later_rule_does_not_reach_into_an_earlier_find() -> None:
    text = "mail 4012888888881881@gmx.de about https://x.de/4012888888881881"
    assert [kind for kind, _ in named(text)] == ["email", "url"]


@pytest.mark.parametrize(
    "text", ["1" * 200_000, "1 " * 100_000, "a@" * 100_000, "a1" * 100_000, ":" * 100_000]
)
def test_a_long_text_without_sense_takes_no_long_time(text: str) -> None:
    assert len(find_personal(text)) <= len(text)


def test_on_public_texts_every_structured_kind_is_found() -> None:
    """The part that rules were looked at with; a development number."""
    if not DATA.exists():
        pytest.skip("the development data are not here")
    hit, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    for line in gzip.decompress(DATA.read_bytes()).decode().split("\n"):
        row: dict[str, Any] = json.loads(line) if line else {"text": "", "spans": []}
        gold = {(LABELS[s["type"]], s["start"], s["end"]) for s in row["spans"] if s["type"] in LABELS}
        got = {(each.kind, each.start, each.end) for each in find_personal(row["text"])}
        hit.update(kind for kind, *_ in gold & got)
        missed.update(kind for kind, *_ in gold - got)
        wrong.update(kind for kind, *_ in got - gold)
    assert set(hit) == set(LABELS.values()) <= set(KINDS)
    assert not missed
    assert set(wrong) <= {"phone"}
    assert wrong["phone"] <= 5
