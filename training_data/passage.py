"""Rows for the passage answerer: passages and a question -> passage number, quote and answer, or three nulls.

`passage_facts.txt` holds facts of many trades: `sentence | the same in other words => question | question`,
with the answer's place in square brackets. The quote is the sentence, the answer a part of it, to the letter.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training_data import number, people, place, work
from training_data.row import Row, write_generated

__all__ = ["generate"]

PLACE = re.compile(r"\{(\w+)\}")
ANSWER = re.compile(r"\[([^\]]*)\]")
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
PRODUCTS = "Aqua Nova Zip Turbo Luna Robo Pico Vento Maxi Trio Orbit Kira Solo Delta Flexi Juno".split()
ANIMALS = """marsh vole|grey lark|spotted newt|river otter|stone marten|blue skink|horned owl|sand fox
reed frog|mountain hare|striped gecko|lake trout|bush rat|silver moth|tree shrew|pygmy goat"""
DRUGS = "Bru Cal Dor Fer Lin Mor Nal Tri Vel Zop"
DISHES = """Potato pie|Lentil soup|Apple cake|Fish stew|Rye bread|Plum dumplings|Onion tart|Bean salad
Cheese bread|Walnut roll|Pumpkin curry|Lemon rice|Poppy cake|Leek gratin"""
FILLERS = """Please read this page with care.|We are glad to help.|More is on the notice board.
It is that simple.|Thank you for your trust.|Everything else is told in the annex.|Questions are welcome.
All of this can change.|You can find this in our app as well.|Nothing else has changed since last year.
There are exceptions, ask us."""
LEADS = """Please note:|As a rule,|In most cases|As told in the annex,|At present|By law|Usually
Since last year|For new customers too,|Good to know:|If nothing else was agreed,|Unlike in former years,"""
TAILS = """, and we let you know by e-mail|; nothing else is needed|, whatever the reason|, so plan for that
; this is new|, at home and abroad|; ask us if you are not sure|, also at weekends|: no more and no less
, unless your papers say something else|, which most people like|, as long as you ask in time
; the app shows it as well"""
"""What a sentence may begin or end with besides its fact."""
ASKING = (
    "{q}",
    "{q}",
    "{q}",
    "{q}",
    "Hi, {q}",
    "{q} Thanks",
    "Quick question: {q}",
    "Could you tell me: {q}",
)
UNANSWERED = 0.25
"""Share of questions that the passages do not answer."""
TWINS = 0.15
"""Share of questions that two passages would answer, were it not for the name in the question."""
OTHERS = frozenset({"person", "company"})
"""Names in sentences that are not the name of what the sentences are about."""


@dataclass(frozen=True)
class _Line:
    domain: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class _Fact:
    line: _Line
    sentence: str
    answer: str


@dataclass
class _Entity:
    """A shop, a person, a machine: what its sentences call it is the same in all of them."""

    lines: tuple[_Line, ...]
    names: dict[str, str]


def generate(chance: random.Random) -> Row:
    domains = _load()
    domain = chance.choice(list(domains))
    entity = _entity(chance, domain)
    lines = chance.sample(entity.lines, min(len(entity.lines), chance.choice((2, 3, 4, 5, 6, 8, 9))))
    asked, answered = lines[0], chance.random() >= UNANSWERED
    twins = answered and chance.random() < TWINS
    facts = [_tell(chance, entity, line) for line in (lines if answered else lines[1:])]
    passages = _passages(chance, entity, facts, named=twins) + _strangers(chance, domain, asked)
    if twins:
        passages.append(_twin(chance, domain, facts[0], lines[1:2]))
    chance.shuffle(passages)
    text = "Passages:\n" + "".join(f"[{at}] {passage}\n\n" for at, passage in enumerate(passages, start=1))
    question = _question(chance, entity, asked)
    if twins and entity.names["s"] not in question:
        question = chance.choice(("{s}: {q}", "{q} ({s})", "About {s}: {q}")).format(
            s=entity.names["s"], q=question
        )
    if not answered:
        return Row(text + question, {"passage": None, "quote": None, "answer": None}, asked.questions[0])
    quote, answer = _quote(passages, facts[0])
    at = next(at for at, passage in enumerate(passages, start=1) if quote in passage)
    return Row(text + question, {"passage": at, "quote": quote, "answer": answer}, asked.questions[0])


@cache
def _load() -> dict[str, tuple[str, tuple[_Line, ...]]]:
    """Domain to what its entities are called, and its lines."""
    domains: dict[str, tuple[str, tuple[_Line, ...]]] = {}
    domain = ""
    for row in (Path(__file__).parent / "passage_facts.txt").read_text("utf-8").splitlines():
        if row.startswith("#"):
            domain, _, subject = row[2:].partition(": ")
            domains[domain] = (subject, ())
        else:
            told, _, asked = row.partition(" => ")
            line = _Line(domain, tuple(told.split(" | ")), tuple(asked.split(" | ")))
            domains[domain] = (domains[domain][0], (*domains[domain][1], line))
    return domains


def _entity(chance: random.Random, domain: str) -> _Entity:
    subject, lines = _load()[domain]
    names = {name: VALUES[name](chance) for name in PLACE.findall(subject)}
    own = {name: value for name, value in names.items() if name not in OTHERS}
    return _Entity(lines, {**own, "s": PLACE.sub(lambda match: names[match[1]], subject)})


def _tell(chance: random.Random, entity: _Entity, line: _Line) -> _Fact:
    template = chance.choice(line.sentences)
    found = ANSWER.search(template)
    assert found is not None, template
    answer = _fill(chance, entity, chance.choice(found[1].split(";")))
    before, after = (
        _fill(chance, entity, part) for part in (template[: found.start()], template[found.end() :])
    )
    sentence = before + answer + after
    if not before:
        answer, sentence = answer[0].upper() + answer[1:], sentence[0].upper() + sentence[1:]
    sentence = _longer(chance, sentence[0].upper() + sentence[1:])
    return _Fact(line, sentence, answer if answer in sentence else _small(answer))


def _longer(chance: random.Random, sentence: str) -> str:
    """At times with a clause before or after the fact, as people write."""
    shape = chance.random()
    if shape < 0.15 and sentence.split(maxsplit=1)[0] in STARTERS:
        return f"{chance.choice(_list(LEADS))} {_small(sentence)}"
    if 0.15 <= shape < 0.35:
        return sentence.removesuffix(".") + chance.choice(_list(TAILS)) + "."
    return sentence


def _passages(chance: random.Random, entity: _Entity, facts: Sequence[_Fact], *, named: bool) -> list[str]:
    """The facts in one to three passages, some under a heading, some with a sentence that says nothing."""
    order = list(facts)
    chance.shuffle(order)
    cuts = sorted(chance.sample(range(1, len(order)), min(len(order) - 1, chance.choice((0, 1, 1, 2)))))
    groups = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return [_passage(chance, entity, group, named=named) for group in groups if group]


def _passage(chance: random.Random, entity: _Entity, facts: Sequence[_Fact], *, named: bool = False) -> str:
    sentences = [fact.sentence for fact in facts]
    if len(sentences) > 1 and sentences[1].split()[0] in STARTERS and chance.random() < 0.2:
        sentences[:2] = [f"{sentences[0].removesuffix('.')}, and {_small(sentences[1])}"]
    if chance.random() < 0.25:
        sentences.insert(chance.randint(0, len(sentences)), chance.choice(_list(FILLERS)))
    heading = entity.names["s"][0].upper() + entity.names["s"][1:]
    headings = (f"{heading}: ", f"{heading}. ", f"## {heading}\n\n")
    start = chance.choice(headings if named else (*headings, "", "", "", ""))
    return start + chance.choice((" ", " ", " ", "\n")).join(sentences)


def _twin(chance: random.Random, domain: str, fact: _Fact, others: Sequence[_Line]) -> str:
    """A passage that says the same of another one of its kind, in other words or with another value."""
    while True:
        other = _entity(chance, domain)
        passage = _passage(
            chance, other, [_tell(chance, other, line) for line in (fact.line, *others)], named=True
        )
        if fact.sentence not in passage and fact.sentence.removesuffix(".") not in passage:
            return passage


def _strangers(chance: random.Random, domain: str, asked: _Line) -> list[str]:
    """Passages about something else: one of the same kind that does not answer, or another trade."""
    passages: list[str] = []
    for _ in range(chance.choices((0, 1, 2), weights=(5, 4, 1))[0]):
        other = _entity(chance, domain if chance.random() < 0.5 else chance.choice(list(_load())))
        lines = chance.sample([line for line in other.lines if line != asked], chance.randint(1, 2))
        passages.append(_passage(chance, other, [_tell(chance, other, line) for line in lines]))
    return passages


def _quote(passages: Sequence[str], fact: _Fact) -> tuple[str, str]:
    """The sentence as it stands in a passage: alone, or joined to another one."""
    for passage in passages:
        if fact.sentence in passage:
            return fact.sentence, fact.answer
    stem = fact.sentence.removesuffix(".")
    for passage in passages:
        for sentence in re.findall(r"[^\n]*?, and [^\n]*?\.(?=\s|$)", passage):
            at = max(sentence.find(stem), sentence.find(_small(stem)))
            if at >= 0:
                clause = sentence[at : at + len(stem)]
                answer = fact.answer if fact.answer in clause else _small(fact.answer)
                return clause, answer
    raise ValueError(f"{fact.sentence!r} was told nowhere")


def _question(chance: random.Random, entity: _Entity, line: _Line) -> str:
    question = _fill(chance, entity, chance.choice(line.questions))
    if chance.random() < 0.1:
        question = question.lower()
    return chance.choice(ASKING).format(q=question)


def _small(text: str) -> str:
    """The first letter small, where it is only large because a sentence began with it."""
    first = text.split(maxsplit=1)[0]
    return text[0].lower() + text[1:] if first in STARTERS else text


def _fill(chance: random.Random, entity: _Entity, template: str) -> str:
    return PLACE.sub(lambda match: entity.names.get(match[1]) or VALUES[match[1]](chance), template)


def _list(text: str) -> list[str]:
    return text.replace("\n", "|").split("|")


def _money(chance: random.Random) -> str:
    whole = chance.choice((chance.randint(1, 20), chance.randint(5, 99), chance.randint(1, 40) * 50))
    shapes = (
        f"£{whole}",
        f"${whole}",
        f"€{whole}",
        f"{whole} euros",
        f"£{whole}.50",
        f"${whole}.99",
        f"{whole} CHF",
    )
    return chance.choice(shapes)


def _time(chance: random.Random) -> str:
    hour = chance.randint(6, 22)
    half = chance.choice(("00", "30", "15"))
    return chance.choice(
        (f"{hour}:{half}", f"{hour % 12 or 12} {'am' if hour < 12 else 'pm'}", f"{hour} o'clock")
    )


def _town(chance: random.Random) -> str:
    return people.last_name(chance) if chance.random() < 0.3 else place.city(chance).title()


STARTERS = frozenset("The A An It You We If In To Its For After Every Everybody Goods Do Take".split())
VALUES: dict[str, Callable[[random.Random], str]] = {
    "age": lambda chance: str(chance.randint(4, 21)),
    "animal": lambda chance: chance.choice(_list(ANIMALS)),
    "city": lambda chance: place.city(chance).title(),
    "company": work.company,
    "country": place.country,
    "day": lambda chance: f"{chance.randint(1, 28)} {chance.choice(MONTHS)}",
    "dish": lambda chance: chance.choice(_list(DISHES)),
    "drug": lambda chance: chance.choice(DRUGS.split()) + chance.choice(("adin", "olex", "amol", "ivan")),
    "email": number.email,
    "job": lambda chance: work.profession(chance).lower(),
    "m": lambda chance: str(chance.randint(1, 9)),
    "money": _money,
    "month": lambda chance: chance.choice(MONTHS),
    "n": lambda chance: str(chance.randint(2, 9) if chance.random() < 0.6 else chance.randint(10, 60)),
    "percent": lambda chance: f"{chance.randint(1, 40)} {chance.choice(('%', 'percent'))}",
    "person": people.full_name,
    "phone": number.phone,
    "place": _town,
    "product": lambda chance: f"{chance.choice(PRODUCTS)} {chance.randint(2, 900)}",
    "river": lambda chance: (
        people.last_name(chance).split()[-1][:5].rstrip("'-") + chance.choice(("a", "en"))
    ),
    "time": _time,
    "url": number.url,
    "weekday": lambda chance: chance.choice(WEEKDAYS),
    "year": lambda chance: str(chance.randint(1650, 2024)),
}


if __name__ == "__main__":
    write_generated(generate)
