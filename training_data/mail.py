"""Rows for the mail reader: customer mail -> topic, order id, dates, amounts, urgency.

Dates are days of the calendar, amounts are sums with a currency, as written, in the order of the text;
weekdays, "yesterday", times, numbers of customers, invoices and parcels are neither. The order id is the
first that is named, without "#". Urgency is what the mail says itself: "high", "low", else "normal".
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from training_data import number, people, place, work
from training_data.mail_template import (
    ASIDES,
    ASKS,
    CLOSINGS,
    GREETINGS,
    HURRY,
    ISSUES,
    LEISURE,
    NOISE,
    OPENERS,
    QUOTES,
)
from training_data.row import Row, write_generated

__all__ = ["generate"]

PLACE = re.compile(r"\{(\w+)\}")
WORD = re.compile(r"[a-z]{5,}")
MONTHS = "January February March April May June July August September October November December".split()
OWNED = re.compile(r"\b(?:my|the|returned)\s$", re.IGNORECASE)
ITEMS = """kettle|lamp|blue jacket|headphones|desk|running shoes|coffee machine|tent|toaster|phone case
winter coat|bookshelf|frying pan|vacuum cleaner|rug|jeans|watch|printer|mirror|bicycle pump
garden chairs|drill|backpack|blender|mattress|dress|fan|camera|tea set|keyboard|curtains|sofa|wallet
router|tyres|monitor|puzzle|pram|heater|cushions|boots|dining table|wall clock|leather bag|dog bed
knife set|suitcase|radio|tablet|hoodie|scarf|sunglasses|guitar strings|football|wardrobe|raincoat
smart speaker"""


TASKS = (
    "Customer mail:\n",
    "Read this customer mail:\n",
    "Mail to the shop:\n",
    "New message from a customer:\n\n",
    "What does this customer want?\n\n",
    "From the shop's inbox:\n",
    "Read this mail to our shop. ",
)
"""What somebody may write before the mail."""


@dataclass
class _Facts:
    """What the mail has said so far."""

    order: str
    """Its number, the same wherever it is named."""
    item: str
    order_named: bool = False
    dates: list[str] = field(default_factory=list[str])
    amounts: list[str] = field(default_factory=list[str])
    currency: str = "£"


def generate(chance: random.Random) -> Row:
    topic = chance.choice(list(ISSUES))
    facts = _Facts(
        order=_order(chance), item=chance.choice(_list(ITEMS)), currency=chance.choice("££$€€eEGUCk")
    )
    urgency = chance.choices(("normal", "high", "low"), weights=(6, 3, 1.5))[0]
    body, issue = _body(chance, topic, urgency)
    parts = [_fill(chance, facts, part) for part in _opening(chance)]
    text = _join(chance, parts, [_fill(chance, facts, sentence) for sentence in body])
    for part in _ending(chance):
        text += "\n" + _fill(chance, facts, part)
    if chance.random() < 0.12:
        text = text.lower()
        facts.dates, facts.amounts = [d.lower() for d in facts.dates], [a.lower() for a in facts.amounts]
        facts.order = facts.order.lower()
    expected = {
        "topic": topic,
        "order_id": facts.order if facts.order_named else None,
        "dates": facts.dates,
        "amounts": facts.amounts,
        "urgency": urgency,
    }
    task = chance.choice(TASKS) if chance.random() < 0.2 else ""
    return Row(task + text, expected, issue)


def _opening(chance: random.Random) -> list[str]:
    parts: list[str] = []
    if chance.random() < 0.75:
        parts.append(chance.choice(_list(GREETINGS)))
    return parts


def _body(chance: random.Random, topic: str, urgency: str) -> tuple[list[str], str]:
    """Sentences, some of them out of the ordinary order, and the one that decides the topic."""
    issue = chance.choice(ISSUES[topic].strip().split("\n"))
    sentences = [issue]
    if chance.random() < 0.35:
        sentences.insert(0, chance.choice(_list(OPENERS)))
    for _ in range(chance.choices(range(6), weights=(4, 6, 4, 2, 1, 1))[0]):
        sentences.insert(chance.randint(0, len(sentences)), chance.choice(_list(ASIDES)))
    if chance.random() < 0.55:
        sentences.append(chance.choice(_list(ASKS[topic])))
    if chance.random() < 0.12:
        sentences.append(chance.choice([s for s in ISSUES[topic].strip().split("\n") if s != issue]))
    if urgency != "normal":
        said = chance.choice(_list(HURRY if urgency == "high" else LEISURE))
        sentences.insert(chance.choice((0, len(sentences), len(sentences))), said)
    return sentences, issue


def _ending(chance: random.Random) -> list[str]:
    parts: list[str] = []
    if chance.random() < 0.7:
        parts.append(chance.choice(_list(CLOSINGS)))
        parts.append(chance.choice(("{person}", "{first}", "{person}")))
    if chance.random() < 0.2:
        parts.append(chance.choice(_list(NOISE)))
    if chance.random() < 0.12:
        parts.append("\n" + chance.choice(QUOTES.split("\n")))
    return parts


def _join(chance: random.Random, opening: Sequence[str], sentences: Sequence[str]) -> str:
    careless = chance.random() < 0.15
    text = ""
    for sentence in sentences:
        said = sentence.rstrip(".") if careless else sentence
        text += said + chance.choice((" ", " ", " ", "\n", "\n\n") if text else (" ", " ", "\n"))
    return chance.choice(("\n", "\n\n", " ")).join([*opening, text.strip()])


def _fill(chance: random.Random, facts: _Facts, template: str) -> str:
    """The template with its places filled and, at times, a typo in its own words."""
    template = template.replace("\\n", "\n")
    text, at = "", 0
    for match in PLACE.finditer(template):
        text += _own(chance, template[at : match.start()])
        text += _item(chance, facts.item, text) if match[1] == "item" else _value(chance, facts, match[1])
        at = match.end()
    return text + _own(chance, template[at:])


def _own(chance: random.Random, words: str) -> str:
    if chance.random() > 0.05:
        return words
    return WORD.sub(lambda match: _misspell(chance, match[0]), words, count=1)


def _value(chance: random.Random, facts: _Facts, name: str) -> str:
    if name == "order":
        facts.order_named = True
        return facts.order
    if name == "date":
        facts.dates.append(_date(chance))
        return facts.dates[-1]
    if name == "amount":
        facts.amounts.append(_amount(chance, facts.currency))
        return facts.amounts[-1]
    return OTHERS[name](chance)


def _item(chance: random.Random, item: str, before: str) -> str:
    if OWNED.search(before):
        return item
    article = chance.choice(("the", "my", "the"))
    return f"{article if before else article.capitalize()} {item}"


def _order(chance: random.Random) -> str:
    shape = chance.choice(
        (
            *(
                "#####",
                "######",
                "########",
                "@@-#####",
                "@-####",
                "@@@-######",
                "####-####",
                "ORD-#####",
                "@@######",
            ),
            *(
                "20##-#####",
                "ORD20######",
                "@#####",
                "#####/##",
                "@@/#####",
                "###-#######-#######",
                "W######",
                "@@##-####",
            ),
        )
    )
    return _shaped(chance, shape)


def _date(chance: random.Random) -> str:
    month, day, year = chance.randint(1, 12), chance.randint(1, 28), chance.randint(2024, 2027)
    name = MONTHS[month - 1]
    end = "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    shapes = (
        *(f"{day} {name}", f"{day} {name}", f"{name} {day}", f"{day}{end} {name}", f"{name} {day}{end}"),
        *(
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day:02}/{month:02}/{year}",
            f"{month}/{day}/{year}",
        ),
        *(
            f"{year}-{month:02}-{day:02}",
            f"{day}.{month}.{year}",
            f"{day:02}.{month:02}.{year}",
            f"{day}/{month}",
        ),
        *(
            f"{day} {name[:3]}",
            f"{name[:3]} {day}",
            f"the {day}{end} of {name}",
            f"{day}.{month}.",
            f"{day}-{name[:3]}-{year}",
        ),
    )
    return chance.choice(shapes).removeprefix("the ").rstrip(".")


def _amount(chance: random.Random, currency: str) -> str:
    """As people of that currency write it: most mails keep to one, and so do these."""
    whole = chance.choice(
        (chance.randint(2, 99), chance.randint(2, 99), chance.randint(100, 999), chance.randint(1000, 4999))
    )
    cents = chance.choice(("00", "50", "90", "95", "99", f"{chance.randint(0, 99):02}"))
    point, comma = f"{whole:,}.{cents}", f"{whole},{cents}"
    shapes = {
        "£": (f"£{point}", f"£{whole}", f"{whole} pounds", f"GBP {point}", f"£ {point}"),
        "$": (f"${point}", f"${whole}", f"{whole} dollars", f"USD {point}", f"{whole} bucks"),
        "€": (f"€{point}", f"{comma} €", f"{whole} €", f"{comma}€", f"€ {whole}"),
        "e": (f"{whole} euros", f"{whole} euro", f"{comma} euros", f"{point} euros"),
        "E": (f"EUR {comma}", f"{comma} EUR", f"{whole} EUR", f"EUR {point}"),
        "G": (f"£{point}", f"£{point}", f"{point} GBP"),
        "U": (f"${point}", f"${point}", f"US${point}", f"{point} USD"),
        "C": (f"CHF {point}", f"{whole} CHF", f"{whole} francs"),
        "k": (f"{whole} kr", f"{whole} SEK", f"{whole} zł", f"{comma} PLN"),
    }
    return chance.choice(shapes[currency])


def _misspell(chance: random.Random, word: str) -> str:
    at = chance.randint(1, len(word) - 2)
    return chance.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )


def _shaped(chance: random.Random, shape: str) -> str:
    made = re.sub("#", lambda _: str(chance.randrange(10)), shape)
    return re.sub("@", lambda _: chance.choice("ABCDEFGHKLMNPRSTWX"), made)


def _list(text: str) -> list[str]:
    return text.replace("\n", "|").split("|")


OTHERS: dict[str, Callable[[random.Random], str]] = {
    "person": people.full_name,
    "first": people.first_name,
    "last": people.last_name,
    "shop": work.company,
    "phone": number.phone,
    "street": place.street,
    "year": lambda chance: str(chance.randint(2008, 2025)),
    "clock": lambda chance: f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}",
    "tracking": lambda chance: _shaped(
        chance, chance.choice(("1Z999AA1" + 10 * "#", "JJD0" + 11 * "#", 12 * "#"))
    ),
    "customer": lambda chance: _shaped(chance, chance.choice(("K-#####", "#######", "C#####"))),
    "invoice": lambda chance: _shaped(chance, chance.choice(("RE-#####", "20##/####", "INV-####"))),
    "article": lambda chance: _shaped(chance, chance.choice(("@@-###", "####.##", "@##@", "###-##@"))),
}


if __name__ == "__main__":
    write_generated(generate)
