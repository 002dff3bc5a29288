"""The shipped agents load, say what they do, and quote the right section for what customers wrote."""

import re

import numpy as np

from shoal.core.passage import Passage
from shoal.project import Project
from shoal.retrieval.chunking import Chunk
from shoal.retrieval.embedder import MiniLM
from tools.lookup import quote

from .conftest import ROOT, Message

PASSAGES = 4
SURE = 0.7


def test_agents_load_and_describe_themselves(project: Project) -> None:
    assert {agent.name for agent in project.agents} == {
        *("account", "cards", "cash", "exchange", "payments", "small-talk"),
        *("summariser", "top-ups", "transaction-reader", "transfers"),
        *("command-reader", "mail-reader"),
    }
    for agent in project.agents:
        assert agent.job.endswith("."), agent.name
        assert len(agent.job.split()) <= 20, agent.name


def test_every_agent_is_short_enough_to_copy() -> None:
    for path in (ROOT / "agents").glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 40, path


def test_quotes_the_right_section_or_says_it_is_unsure(
    inbox: tuple[Message, ...], sections: dict[str, Chunk]
) -> None:
    """Retrieval by cosine alone, without an index on disk; the index also counts words and finds more."""
    embedder = MiniLM(threads=1)
    addresses = list(sections)
    vectors = embedder.embed([chunk.text for chunk in sections.values()])
    singles = [message for message in inbox if len(message.agents) == 1 and message.sources]
    right = sure_and_wrong = 0
    for message in singles:
        cosines = vectors @ embedder.embed([message.text])[0]
        chapter = message.sources[0].partition("/")[0]
        nearest: list[int] = np.argsort(-cosines).tolist()
        best = [at for at in nearest if addresses[at].startswith(f"{chapter}/")][:PASSAGES]
        answer = quote(
            message.text,
            tuple(passage(addresses[at], sections[addresses[at]], float(cosines[at])) for at in best),
        )
        assert answer.value is not None
        assert answer.probability is not None
        hit = re.search(r"\[(\S+)\]$", answer.value)
        assert hit
        right += hit[1] in message.sources
        sure_and_wrong += hit[1] not in message.sources and answer.probability >= SURE
    assert right >= 0.85 * len(singles)
    assert sure_and_wrong == 0


def passage(address: str, chunk: Chunk, score: float) -> Passage:
    source = address.partition("#")[0]
    return Passage(
        text=chunk.text,
        source=source,
        start=chunk.start,
        end=chunk.end,
        heading=chunk.heading,
        score=score,
    )
