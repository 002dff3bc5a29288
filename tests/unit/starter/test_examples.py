"""The router's examples and the inbox: valid, balanced, documented, and apart from one another."""

import re
from collections import Counter

from shoal.project import Project
from shoal.retrieval.chunking import Chunk
from shoal.router.example import load_examples

from .conftest import ROOT, Message

EXAMPLES = load_examples(ROOT / "router/examples.jsonl")


def plain(text: str) -> str:
    return " ".join(text.casefold().split())


def test_every_label_is_an_agent_and_every_agent_has_rows(project: Project) -> None:
    counts = Counter(example.agent for example in EXAMPLES)

    assert set(counts) == {agent.name for agent in project.agents} | {None}
    assert min(counts.values()) >= 40


def test_no_text_is_there_twice() -> None:
    assert max(Counter(plain(example.text) for example in EXAMPLES).values()) == 1


def test_the_readme_gives_each_of_the_77_intents_to_one_agent(project: Project) -> None:
    readme = (ROOT / "router/README.md").read_text("utf-8")
    rows = re.findall(r"^\| ([a-z-]+) \| (`.+`) \|$", readme, re.MULTILINE)
    intents = Counter(intent for _, cell in rows for intent in re.findall(r"`([^`]+)`", cell))

    assert len(intents) == 77
    assert set(intents.values()) == {1}
    assert {agent for agent, _ in rows} == {agent.name for agent in project.agents if agent.knowledge}


def test_inbox_is_big_and_varied_enough(inbox: tuple[Message, ...]) -> None:
    assert len(inbox) >= 60
    assert len({message.id for message in inbox}) == len(inbox)
    assert sum(len(message.agents) == 2 for message in inbox) >= 12
    assert sum(not message.agents for message in inbox) >= 8
    assert sum(len(message.text) > 250 for message in inbox) >= 8


def test_inbox_expects_agents_and_sections_that_exist(
    inbox: tuple[Message, ...], project: Project, sections: dict[str, Chunk]
) -> None:
    names = {agent.name for agent in project.agents}
    for message in inbox:
        assert set(message.agents) <= names, message.id
        assert set(message.sources) <= set(sections), message.id


def test_no_inbox_message_is_among_the_examples(inbox: tuple[Message, ...]) -> None:
    for message in inbox:
        text = plain(message.text)
        known = [
            e.text for e in EXAMPLES if plain(e.text) == text or (len(e.text) > 25 and plain(e.text) in text)
        ]
        assert not known, message.id
