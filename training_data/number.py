"""Numbers and addresses of a fixed form: cards, accounts, telephones, hosts. Made up; check digits fit."""

import random
import unicodedata

from training_data.people import first_name, last_name

__all__ = ["card", "domain", "email", "iban", "ip", "licence", "phone", "ssn", "url"]

PREFIXES = (
    *(
        ("4", 16),
        ("4", 13),
        ("4", 19),
        ("51", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
    ),
    *(
        ("6011", 16),
        ("65", 16),
        ("30", 14),
        ("36", 14),
        ("3528", 16),
        ("3589", 16),
        ("1800", 15),
        ("2131", 15),
    ),
    *(("5018", 12), ("5020", 12), ("6304", 12), ("6759", 16)),
)
IBANS = {
    "GB": ("LLLL", 14),
    "DE": ("", 18),
    "FR": ("", 23),
    "NL": ("LLLL", 10),
    "ES": ("", 20),
    "CH": ("", 17),
    "BE": ("", 12),
    "IE": ("LLLL", 14),
    "AT": ("", 16),
    "PL": ("", 24),
    "SE": ("", 20),
    "NO": ("", 11),
}
TELEPHONES = """###-###-####|(###)###-####|(###) ###-####|###.###.####|+1-###-###-####|001-###-###-####
##########|###-###-####x###|+1-###-###-####x####|###.###.####x###|(###)###-####x#####|0### ### ## ##
0### ## ## ##|0# ## ## ## ##|0#.##.##.##.##|+41 (0)## ### ## ##|+49 ### #######|+33 # ## ## ## ##
0### #######|### ####|## ### ###|#### ####|######|07### ######|07## #### ####|+44 7### ### ###
0## #### ####|(0#) #### ####|+61 # #### ####|0##-#######|##-##-##-##|### ### ###|+48 ### ### ###
+46 (0)### ### ##|+358 ## ### ####|+353 ## ### ####|(##) ####-####|+55 ## #####-####|## ### ####"""
HOSTS = """gmail.com|outlook.com|yahoo.co.uk|web.de|orange.fr|proton.me|example.org|post.cz|wp.pl
libero.it|telia.se|mail.dk|hotmail.com|icloud.com|seznam.cz|bluewin.ch|ziggo.nl|citymail.hu|inbox.ee
nordpost.no|quickmail.us|gotmail.biz"""
SUFFIXES = (
    "com org net de fr cz pl se dk be at co.uk com.au com.br com.cy ch nl fi hu is ee info io edu gov".split()
)
NOUNS = """Garden|Travel|Music|Photo|Kitchen|Movie|Tax|Bike|Pet|Dental|Fitness|Legal|Fashion|Coffee
Poker|Energy|Wedding|Gadget|Furniture|Yoga|Loan|Sailing|Recipe|Crypto|Antique|Camera|Ticket|Pizza|Toy
Flower"""
VERBS = """Finder|Hub|World|Store|Blog|Expert|Update|Deals|Club|Works|Online|Planet|Guide|Forum|Review
Lab|Shop|Daily|Cafe"""


def card(chance: random.Random) -> str:
    prefix, length = chance.choice(PREFIXES)
    digits = prefix + _digits(chance, length - len(prefix) - 1)
    digits += str(-_luhn(digits + "0") % 10)
    if length == 16 and chance.random() < 0.25:
        return chance.choice(" -").join(digits[at : at + 4] for at in range(0, 16, 4))
    return digits


def iban(chance: random.Random) -> str:
    land = chance.choice(list(IBANS)) if chance.random() < 0.6 else "GB"
    letters, count = IBANS[land]
    body = "".join(chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in letters) + _digits(chance, count)
    number = int("".join(str(int(character, 36)) for character in f"{body}{land}00"))
    code = f"{land}{98 - number % 97:02}{body}"
    shape = chance.random()
    if shape < 0.12:
        return code.lower()
    return " ".join(code[at : at + 4] for at in range(0, len(code), 4)) if shape < 0.3 else code


def phone(chance: random.Random) -> str:
    shape = chance.choice(TELEPHONES.replace("\n", "|").split("|"))
    first = shape.replace("#", str(chance.randint(2, 9)), 1)
    return "".join(_digits(chance, 1) if mark == "#" else mark for mark in first)


def email(chance: random.Random) -> str:
    first, last, number = _ascii(first_name(chance)), _ascii(last_name(chance)), chance.randint(1, 99)
    name = chance.choice(
        (
            *(f"{first}{last}", f"{first}{last}", f"{first}.{last}", f"{first[0]}.{last}", f"{first}_{last}"),
            *(
                f"{last}{number}",
                f"{first}{chance.choice('ABCDEFGHJKLMPRSTV')}{last}",
                f"{first}-{last}{number}",
            ),
        )
    )
    name = name if chance.random() < 0.5 else name.lower()
    return f"{name}@{domain(chance).lower() if chance.random() < 0.4 else chance.choice(_list(HOSTS))}"


def domain(chance: random.Random) -> str:
    name = chance.choice(_list(NOUNS)) + chance.choice(_list(VERBS))
    if chance.random() < 0.15:
        name = "".join(chance.choice("abcdefghiklmnoprstuvwxyz") for _ in range(chance.randint(4, 9)))
    return f"{name if chance.random() < 0.6 else name.lower()}.{chance.choice(SUFFIXES)}"


def url(chance: random.Random) -> str:
    www = "www." if chance.random() < 0.6 else ""
    shape = chance.random()
    if shape < 0.72:
        return f"http{chance.choice(('s', ''))}://{www}{domain(chance)}{'/' if shape < 0.65 else ''}"
    return f"www.{domain(chance)}" if shape < 0.87 else domain(chance)


def ip(chance: random.Random) -> str:
    if chance.random() < 0.2:
        return ":".join(f"{chance.randrange(65536):x}" for _ in range(8))
    return ".".join(str(chance.randint(1, 254)) for _ in range(4))


def ssn(chance: random.Random) -> str:
    return f"{_digits(chance, 3)}-{_digits(chance, 2)}-{_digits(chance, 4)}"


def licence(chance: random.Random) -> str:
    letter = chance.choice("ABCDEFGHJKLMNPRSTUVW")
    four = _digits(chance, 4)
    shapes = (
        *(_digits(chance, 7), _digits(chance, 8), _digits(chance, 9), f"{letter}{_digits(chance, 12)}"),
        *(f"{letter}{_digits(chance, 14)}", f"{four}-{_digits(chance, 2)}-{_digits(chance, 4)}"),
        *(f"{letter}{_digits(chance, 7)}", f"{letter}{_digits(chance, 3)}-{four}-{_digits(chance, 4)}"),
    )
    return chance.choice(shapes)


def _digits(chance: random.Random, count: int) -> str:
    return "".join(str(chance.randrange(10)) for _ in range(count))


def _luhn(digits: str) -> int:
    return sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in enumerate(reversed(digits))) % 10


def _ascii(name: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if c.isascii() and c.isalpha())
    return plain or "Mail"


def _list(text: str) -> list[str]:
    return text.replace("\n", "|").split("|")
