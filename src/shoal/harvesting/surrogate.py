"""Personal values to values of the same form that are nobody's.

A specialist learns from what it sees: a placeholder such as [EMAIL] would be all it ever met, and the real
addresses of its working life would be new to it. So a value is replaced by another of the same length and
signs wherever its kind allows it: a number stays a number with a right checksum, an address an address.

What is nobody's can be told, so that scrubbing twice changes nothing. Where a range is reserved for
documentation it is used (RFC 2606 names, RFC 5737 and 3849 addresses, RFC 7042 hardware addresses). Elsewhere
the last signs are a digest of those before. A real number has such an ending by chance, and is missed, once
in a million; one of seven digits once in ten thousand.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address, ip_network
from random import Random

__all__ = ["Pieces", "dress", "is_nobodys", "make_surrogate", "plain"]

Pieces = tuple[str, ...]
"""What stands for every sign of a value; joined, they are the new value. A part of the value becomes the
same part of the new one."""

FEWEST, FREE, MARK = 7, 3, 6
"""Signs that can carry a mark; of these, signs that stay free; signs of the mark at most."""
CARD = 12
"""Digits of a card, at least."""
DIGITS = frozenset({"phone", "credit_card", "us_ssn"})
SIGNS = frozenset({"iban", "secret"})
RESERVED_NAME = re.compile(
    r"(?:.*\.)?(?:example|test|invalid|localhost|example\.(?:com|net|org))", re.IGNORECASE
)
RESERVED_NETS = [
    ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
RESERVED_MAC = "00005e0053"
NAME = re.compile(r"(?P<head>(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#\s@]*@)?)(?P<host>[^/?#:\s]+)", re.IGNORECASE)
VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"


def plain(kind: str, value: str) -> str:
    """The value without its dress: equal for two ways to write the same one."""
    if kind in DIGITS:
        return "".join(sign for sign in value if _is_digit(sign))
    if kind in SIGNS or kind == "mac_address":
        signs = "".join(sign for sign in value if sign.isalnum())
        return signs if kind == "secret" else signs.upper()
    if kind == "email" and len(value.lower()) == len(value):
        return value.lower()
    return value


def is_nobodys(kind: str, value: str) -> bool:
    """Whether a value of this kind is reserved for documentation, or was made here."""
    if kind in _RESERVED:
        return _RESERVED[kind](value)
    bare = plain(kind, value)
    if kind == "iban":
        return _is_marked(bare[4:])
    # A card ends in a check digit behind its mark, and a number may be taken for a card.
    return _is_marked(bare) or (kind in DIGITS and len(bare) >= CARD and _is_marked(bare[:-1]))


def make_surrogate(kind: str, bare: str, random: Random) -> Pieces:
    """Another value in place of a `plain` one, a piece for each of its signs. Depends on its form only."""
    return _MAKERS.get(kind, _word)(bare, random)


def dress(kind: str, value: str, pieces: Pieces) -> Pieces:
    """The pieces in the dress of a value: its separators, its capitals; a piece for each of its signs."""
    if kind in DIGITS or kind in SIGNS or kind == "mac_address":
        rest = iter(pieces)
        is_sign = _is_digit if kind in DIGITS else str.isalnum
        new = [next(rest) if is_sign(sign) else sign for sign in value]
    elif len(pieces) == len(value):
        new = list(pieces)
    else:
        return ("".join(pieces), *[""] * (len(value) - 1))
    if kind in ("iban", "mac_address"):
        return tuple(
            piece.lower() if sign.islower() else piece for sign, piece in zip(value, new, strict=True)
        )
    if kind == "email":
        return tuple(
            piece.upper() if sign.isupper() else piece for sign, piece in zip(value, new, strict=True)
        )
    return tuple(new)


def _is_digit(sign: str) -> bool:
    """Of a telephone number also the plus in front."""
    return sign.isdecimal() or sign == "+"


def _is_marked(signs: str) -> bool:
    signs = signs.lstrip("+")
    if len(signs) < FEWEST:
        return bool(signs) and set(signs) <= set("xX0")
    body = len(signs) - _mark_length(signs)
    return tuple(signs[body:]) == _mark(signs[:body], signs[body:])


def _mark_length(signs: str) -> int:
    return min(MARK, len(signs) - FREE)


def _mark(body: str, form: str) -> Pieces:
    digest = sha256(body.encode("utf-8", "replace")).digest()
    return tuple(_sign(like, byte) for like, byte in zip(form, digest, strict=False))


def _sign(like: str, number: int) -> str:
    """The sign with this number among those of the same sort."""
    if like.isdecimal():
        return str(number % 10)
    letter = chr(ord("a") + number % 26)
    return letter.upper() if like.isupper() else letter


def _marked(bare: str, random: Random, *, kept: int = 0) -> Pieces:
    signs = bare.lstrip("+")
    if len(signs) < FEWEST:
        return tuple("0" if sign.isdecimal() else "X" if sign.isupper() else "x" for sign in bare)
    kept = max(kept, len(bare) - len(signs))
    end = len(bare) - _mark_length(signs)
    body = bare[:kept] + "".join(_another(sign, random) for sign in bare[kept:end])
    return (*body, *_mark(body.lstrip("+"), bare[end:]))


def _another(sign: str, random: Random) -> str:
    """Of the same sort; a number that has no leading zero gets none."""
    if sign.isdecimal():
        return str(random.randrange(10) if sign == "0" else random.randrange(1, 10))
    return _sign(sign, random.randrange(26))


def _dialling_prefix(bare: str) -> int:
    """Signs that stay, as long as enough others follow: leading zeros, a plus and the country."""
    prefix = 3 if bare.startswith("+") else len(bare) - len(bare.lstrip("0"))
    return min(prefix, max(0, len(bare) - MARK - FREE))


def _phone(bare: str, random: Random) -> Pieces:
    return _marked(bare, random, kept=_dialling_prefix(bare))


def _card(bare: str, random: Random) -> Pieces:
    """The brand stays, the last digit is right."""
    body = "".join(_marked(bare[:-1], random, kept=2 if bare[0] in "3456" else 4))
    digits = [int(sign) for sign in body]
    total = sum(digits[-2::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[::-2])
    return (*body, str(-total % 10))


def _iban(bare: str, random: Random) -> Pieces:
    account = "".join(_marked(bare[4:], random))
    rest = int("".join(str(int(sign, 36)) for sign in account + bare[:2] + "00")) % 97
    return (*bare[:2], *f"{98 - rest:02}", *account)


def _word(text: str, random: Random) -> Pieces:
    """Letters that can be spoken, so that they fall into tokens as words do; digits for digits."""
    new: list[str] = []
    is_vowel = bool(random.randrange(2))
    for sign in text:
        if sign.isdecimal():
            new.append(str(random.randrange(10)))
        elif sign.isalpha():
            letter = random.choice(VOWELS if is_vowel else CONSONANTS)
            new.append(letter.upper() if sign.isupper() else letter)
            is_vowel = not is_vowel
        else:
            new.append(sign)
    return tuple(new)


def _host(domain: str, random: Random) -> Pieces:
    """The last part of the name becomes one that nobody can own."""
    name, _, top = domain.rpartition(".")
    if not name:
        return ("host.example", *[""] * (len(domain) - 1))
    ending = (random.choice(("example", "test", "example", "invalid")), *[""] * (len(top) - 1))
    www = "www." if name.startswith("www.") else ""
    return (*www, *_word(name[len(www) :], random), ".", *ending)


def _email(bare: str, random: Random) -> Pieces:
    local, _, domain = bare.rpartition("@")
    return (*_word(local, random), "@", *_host(domain, random))


def _url(url: str, random: Random) -> Pieces:
    found = NAME.match(url)
    assert found is not None, "a URL has a host"
    head = found["head"]
    scheme = head[: head.find("://") + 3] if "://" in head else ""
    user = head[len(scheme) :]
    return (
        *scheme,
        *_word(user, random),
        *_host(found["host"], random),
        *_word(url[found.end() :], random),
    )


def _mac(bare: str, random: Random) -> Pieces:
    return (*RESERVED_MAC.upper(), *(random.choice("0123456789ABCDEF") for _ in bare[len(RESERVED_MAC) :]))


def _address(value: str, random: Random) -> Pieces:
    net = random.choice([net for net in RESERVED_NETS if net.version == ip_address(value).version])
    new = str(net[random.randrange(1, 255)])
    return (new, *[""] * (len(value) - 1))


def _is_reserved_email(value: str) -> bool:
    return RESERVED_NAME.fullmatch(value.rpartition("@")[2]) is not None


def _is_reserved_url(value: str) -> bool:
    found = NAME.match(value)
    return found is not None and RESERVED_NAME.fullmatch(found["host"]) is not None


def _is_reserved_address(value: str) -> bool:
    address = ip_address(value)
    return any(address.version == net.version and address in net for net in RESERVED_NETS)


def _is_reserved_mac(value: str) -> bool:
    return plain("mac_address", value).lower().startswith(RESERVED_MAC)


_RESERVED: Mapping[str, Callable[[str], bool]] = {
    "email": _is_reserved_email,
    "url": _is_reserved_url,
    "ip_address": _is_reserved_address,
    "mac_address": _is_reserved_mac,
}
_MAKERS: Mapping[str, Callable[[str, Random], Pieces]] = {
    "email": _email,
    "url": _url,
    "ip_address": _address,
    "mac_address": _mac,
    "iban": _iban,
    "credit_card": _card,
    "phone": _phone,
    "us_ssn": _marked,
    "secret": _marked,
}
