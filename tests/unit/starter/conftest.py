"""The shipped project: its root on the path, as at run time, and its files read once."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from shoal.project import Project, open_project
from shoal.retrieval.chunking import Chunk, ChunkSize, chunk_document
from shoal.retrieval.embedder import MiniLM

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Message:
    id: str
    text: str
    agents: tuple[str, ...]
    sources: tuple[str, ...]


@pytest.fixture(scope="session")
def project() -> Project:
    return open_project(ROOT)


@pytest.fixture(scope="session")
def inbox() -> tuple[Message, ...]:
    rows = [json.loads(line) for line in (ROOT / "examples/inbox.jsonl").read_text("utf-8").splitlines()]
    return tuple(
        Message(
            row["id"], row["text"], tuple(row["expect"]["agents"]), tuple(row["expect"].get("sources", ()))
        )
        for row in rows
    )


@pytest.fixture(scope="session")
def sections() -> dict[str, Chunk]:
    """Address ("cards/pin.md#how-do-i-change-my-pin") to the section, which has to be one chunk."""
    handbook, embedder = ROOT / "agents/handbook", MiniLM(threads=1)
    found: dict[str, Chunk] = {}
    for path in sorted(handbook.rglob("*.md")):
        text = path.read_text("utf-8")
        chunks = chunk_document(text, embedder.token_spans, markdown=True, size=ChunkSize())
        assert len(chunks) == len(re.findall(r"^## ", text, re.MULTILINE)), f"a section of {path} is cut"
        for chunk in chunks:
            title = chunk.heading.rpartition(" > ")[2]
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            address = f"{path.relative_to(handbook).as_posix()}#{anchor}"
            assert address not in found, f"{address} is there twice"
            found[address] = chunk
    return found
