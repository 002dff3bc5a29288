"""The handbook: written as the look-up expects it, and saying the same everywhere."""

import re
from decimal import Decimal

from shoal.project import Project
from shoal.retrieval.chunking import Chunk
from tools.money import find_money

PARTS = re.compile(r"(?:# .*\n\n)?## (?P<title>.+)\n(?P<asked>(?:> .+\n)+)\n(?P<answer>[^\n#>].+)")


def test_sections_are_a_heading_ways_to_ask_and_one_paragraph(sections: dict[str, Chunk]) -> None:
    for address, chunk in sections.items():
        match = PARTS.fullmatch(chunk.text)
        assert match, address
        assert match["asked"].count("\n") >= 2, f"{address}: too few ways to ask"
        assert 20 <= len(match["answer"].split()) <= 110, f"{address}: {len(match['answer'].split())} words"


def test_nothing_is_asked_twice(sections: dict[str, Chunk]) -> None:
    asked = [
        line for chunk in sections.values() for line in re.findall(r"^> (.+)$", chunk.text, re.MULTILINE)
    ]

    assert len(asked) == len(set(asked))


def test_every_agent_has_a_chapter_and_every_chapter_an_agent(
    project: Project, sections: dict[str, Chunk]
) -> None:
    known = {agent.knowledge for agent in project.agents} - {None}

    assert known == {f"agents/handbook/{address.partition('/')[0]}" for address in sections}


def test_every_amount_can_be_read(sections: dict[str, Chunk]) -> None:
    for address, chunk in sections.items():
        assert len(find_money(chunk.text)) >= len(re.findall(r"[£€$]\d", chunk.text)), address


def test_chapters_agree_on_shared_facts(sections: dict[str, Chunk]) -> None:
    text = "\n".join(chunk.text for chunk in sections.values())

    def after(words: str) -> set[Decimal]:
        return {find_money(text[match.end() :])[0].value.amount for match in re.finditer(words, text)}

    assert after("every further one costs") == after("second or spare card costs") == after("lost card costs")
    assert after("can take out up to") == after("the limit of (?=£500)") == {Decimal(500)}
    assert after("limit for a month is") == after("when more than") == {Decimal(25_000)}
    assert set(re.findall(r"mark-up of (\S+ %)", text)) == {"1 %"}
    assert set(re.findall(r"call (020 [\d ]+\d)", text, re.IGNORECASE)) == {"020 7946 0110"}
    assert set(re.findall(r"You have (\d+) months", text)) == {"13"}
