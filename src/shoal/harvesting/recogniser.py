"""Structured personal data in a text: addresses of people and machines, numbers with a checksum, secrets.

Rules, no model: names and postal addresses have no form that a rule could know and are left to a spotter.
Doubtful numbers count as found, because what is found is replaced by another number of the same form, in the
input and in the answer alike. Values that `surrogate` made, and those reserved for documentation, are
nobody's and are passed over; nothing else is looked for inside them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from shoal.harvesting.surrogate import is_nobodys

__all__ = ["KINDS", "Found", "Kind", "find_personal"]

Kind = Literal[
    "secret", "url", "email", "iban", "credit_card", "us_ssn", "mac_address", "ip_address", "phone"
]
Place = tuple[int, int]
FILLER = "\0"
"""Stands for what was found already, so that no rule reaches into it or across it."""


@dataclass(frozen=True, slots=True)
class Found:
    kind: Kind
    start: int
    """In characters."""
    end: int


def find_personal(text: str) -> tuple[Found, ...]:
    """All that the rules know, in order, never overlapping."""
    found: list[Found] = []
    rest = text.replace(FILLER, " ")
    for kind, rule in _RULES:
        for start, end in rule(rest):
            if FILLER in rest[start:end]:
                continue
            rest = rest[:start] + FILLER * (end - start) + rest[end:]
            if not is_nobodys(kind, text[start:end]):
                found.append(Found(kind, start, end))
    return tuple(sorted(found, key=lambda each: each.start))


URL = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.)[^\s<>\"'`\0]{3,}", re.IGNORECASE)
EMAIL = re.compile(r"(?<![\w.%+'-])[\w.%+'-]*\w@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}(?![\w-])")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
CARD = re.compile(r"(?<![\w.,-])\d(?:[ -]?\d){11,18}(?![\w]|[.,-]\d)")
SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
MAC = re.compile(r"(?<![\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}(?![\w:-])", re.IGNORECASE)
IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
IPV6 = re.compile(r"(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)
PHONE = re.compile(
    r"(?<![\w.,/+-])(?:\+ ?)?\(?\d++(?:(?:\)[ -]?| ?\(|[ ./-])\d++){0,7}"
    r"(?: ?x ?\d{1,5}| ?ext\.? ?\d{1,5})?(?!\w|[.,:]\d)"
)
KEYS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*([^-]+?)\s*-----END"),
    re.compile(r"\b(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"),
    re.compile(r"\b(?:sk|pk|rk)[-_](?:(?:live|test|proj|ant)[-_])?([A-Za-z0-9_-]{16,})"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|AIza)([\w-]{10,})"),
    re.compile(r"\b(?:AKIA|ASIA)([0-9A-Z]{16})\b"),
    re.compile(r"\bbearer ([\w.~+/=-]{16,})", re.IGNORECASE),
)
"""Known by what stands before them, which stays."""
PASSWORD = re.compile(
    r"\b(?:passwor[dt]|passwd|pwd|passphrase|secret|(?:api|access)[_ -]?key|token|pin)"
    r"(?: is |\s{0,2}[:=]\s{0,2})[\"']?([^\s\"',;\0]{4,})",
    re.IGNORECASE,
)
OPAQUE = re.compile(r"(?<![\w/+-])[\w+/-]{32,}={0,2}(?![\w/+=-])")
HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
PUNCTUATION = ".,;:!?)]}>'\""
IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
)
"""Characters of an IBAN, by country (SWIFT's registry)."""
CARD_STARTS = re.compile(r"[3-6]|2[2-7]|2131|1800")
SHORT_CARD_STARTS = re.compile(r"5[06-8]|6[37]")
"""Of cards with twelve digits."""


def _secrets(text: str) -> Iterator[Place]:
    places = [match.span(1) for pattern in KEYS for match in pattern.finditer(text)]
    places += [match.span(1) for match in PASSWORD.finditer(text) if re.search(r"\d", match[1])]
    for start, end in sorted(places):
        yield start, end
        text = text[:start] + FILLER * (end - start) + text[end:]
    yield from (match.span() for match in OPAQUE.finditer(text) if _is_opaque(match[0]))


def _is_opaque(word: str) -> bool:
    """Digits and letters in a mixture that no word has."""
    sorts = [re.search(sort, word) is not None for sort in (r"\d", "[a-z]", "[A-Z]")]
    return all(sorts) or (sorts[0] and any(sorts[1:]) and HEXADECIMAL.fullmatch(word) is not None)


def _urls(text: str) -> Iterator[Place]:
    for match in URL.finditer(text):
        yield match.start(), match.start() + len(match[0].rstrip(PUNCTUATION))


def _ibans(text: str) -> Iterator[Place]:
    """The pattern may run on into the next words: the country says where the number ends."""
    for match in IBAN.finditer(text):
        listed = re.search(rf"\b{match[0][:2].upper()}(\d\d)", IBANS)
        length = int(listed[1]) if listed else 0
        places = [index for index, sign in enumerate(match[0]) if sign.isalnum()]
        if length and len(places) >= length:
            end = places[length - 1] + 1
            signs = [sign for sign in match[0][:end].upper() if sign.isalnum()]
            ends_here = not text[match.start() + end : match.start() + end + 1].isalnum()
            if ends_here and int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 == 1:
                yield match.start(), match.start() + end


def _cards(text: str) -> Iterator[Place]:
    for match in CARD.finditer(text):
        digits = [int(sign) for sign in match[0] if sign.isdecimal()]
        starts = CARD_STARTS if len(digits) > 12 else SHORT_CARD_STARTS
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        if starts.match(match[0]) and (sum(digits[::-2]) + sum(doubled)) % 10 == 0:
            yield match.span()


def _spans(pattern: re.Pattern[str]) -> Callable[[str], Iterator[Place]]:
    return lambda text: (match.span() for match in pattern.finditer(text))


def _ips(text: str) -> Iterator[Place]:
    for pattern in (IPV4, IPV6):
        for match in pattern.finditer(text):
            try:
                address = ip_address(match[0])
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified) and len(match[0]) > 6:
                yield match.span()


CONTEXT = re.compile(
    r"phone|\btel|\bcall|mobil|\bcell|\bfax|\bdial|whatsapp|contact|reach|handy|\bring\b|\bsms\b|numm?[be]|hotline",
    re.IGNORECASE,
)
BEFORE = 40
"""Characters before a bare number in which a word may say that it is a telephone's."""
MONEY = re.compile(r"[€$£¥%]|\b(?:EUR|USD|GBP|CHF|kg|km|MB|GB)\b", re.IGNORECASE)
YEAR = r"(?:19|20)\d\d"
DATE = re.compile(
    rf"{YEAR}[-/. ]\d{{1,2}}[-/. ]\d{{1,2}}(?:[ -]\d\d)?"
    rf"|\d{{1,2}}[-/. ]\d{{1,2}}[-/. ]{YEAR}|{YEAR}[ /-]+{YEAR}"
)
GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+|\d{5}-\d{3,4}")
"""A large amount, or a postal code."""
HOUSE = re.compile(r"\d+ \d+,? [^\W\d_a-z]")
"""Two numbers before a capital: a postal code and the number of a house."""


def _phones(text: str) -> Iterator[Place]:
    for match in PHONE.finditer(text):
        start, end = match.span()
        said = match[0]
        number = re.split(r" ?(?:x|ext)", said)[0]
        digits = sum(sign.isdecimal() for sign in number)
        before = text[max(0, start - BEFORE) : start]
        if not 7 <= digits <= 15 or DATE.fullmatch(said):
            continue
        if MONEY.search(text[max(0, start - 4) : start]) or MONEY.match(text[end : end + 4].lstrip()):
            continue
        international = said.startswith(("+", "00"))
        told = international or CONTEXT.search(before) is not None
        if (
            told
            or (said.isdecimal() and digits == 10)
            or (not said.isdecimal() and not GROUPED.fullmatch(said) and not HOUSE.match(text, start))
        ):
            yield start, end


_RULES: tuple[tuple[Kind, Callable[[str], Iterator[Place]]], ...] = (
    ("secret", _secrets),
    ("url", _urls),
    ("email", _spans(EMAIL)),
    ("iban", _ibans),
    ("credit_card", _cards),
    ("us_ssn", _spans(SSN)),
    ("mac_address", _spans(MAC)),
    ("ip_address", _ips),
    ("phone", _phones),
)
KINDS: tuple[Kind, ...] = tuple(kind for kind, _ in _RULES)
"""In the order in which they are looked for: what one rule finds, the later ones do not see."""
