"""The index of a folder, with the real embedder and the real Chroma."""

from collections.abc import Generator
from pathlib import Path

import pytest

from shoal.core.errors import ConfigError, InputError
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import KnowledgeIndex, indexed_roots, open_index

EMBEDDER = MiniLM()
LEAVE = "# Handbook\n\n## Leave\n\nEmployees get 28 days of holiday.\n\n## Refunds\n\nRefunds take 5 days.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "handbook"
    (root / "travel").mkdir(parents=True)
    (root / "leave.md").write_text(LEAVE, encoding="utf-8")
    (root / "travel" / "trains.txt").write_text(
        "Book trains in second class. 東京では地下鉄で。\n", encoding="utf-8"
    )
    return root


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Generator[KnowledgeIndex]:
    index = KnowledgeIndex(folder, tmp_path / "data", EMBEDDER)
    yield index
    index.retriever.close()


async def test_opening_indexes_the_folder(folder: Path, tmp_path: Path) -> None:
    index = await open_index(folder, tmp_path / "data", EMBEDDER)
    best, *_ = await index.search("how much holiday do I get?", limit=2)
    assert best.source == "handbook/leave.md"
    assert best.heading == "Handbook > Leave"
    assert best.score is not None
    assert 0.4 < best.score <= 1
    text = (folder / "leave.md").read_bytes().decode()
    assert text[best.start : best.end] == best.text


async def test_a_rare_word_is_found_by_its_letters(index: KnowledgeIndex) -> None:
    await index.update()
    best, *_ = await index.search("地下鉄", limit=1)
    assert best.source == "handbook/travel/trains.txt"


async def test_search_sees_what_another_writer_added(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    await index.update()
    await index.search("anything")
    (folder / "cars.md").write_text("Rental cars need insurance.", encoding="utf-8")
    report = KnowledgeIndex(folder, tmp_path / "data", EMBEDDER).writer.add()
    assert report.added == ("handbook/cars.md",)
    best, *_ = await index.search("insurance for a rental car", limit=1)
    assert best.source == "handbook/cars.md"


async def test_add_is_incremental(index: KnowledgeIndex, folder: Path) -> None:
    first = index.writer.add()
    assert first.added == ("handbook/leave.md", "handbook/travel/trains.txt")
    assert index.writer.add().unchanged == first.added
    (folder / "leave.md").write_text(LEAVE.replace("28", "30"), encoding="utf-8")
    (folder / "travel" / "trains.txt").unlink()
    second = index.writer.add()
    assert (second.changed, second.removed) == (("handbook/leave.md",), ("handbook/travel/trains.txt",))
    assert second.chunks == 2
    best, *others = await index.search("holiday", limit=5)
    assert "30 days" in best.text
    assert len(others) == 1
    assert index.writer.verify() == ()


def test_a_file_that_became_blank_is_forgotten(index: KnowledgeIndex, folder: Path) -> None:
    index.writer.add()
    (folder / "leave.md").write_text(" \n", encoding="utf-8")
    assert index.writer.add().removed == ("handbook/leave.md",)
    assert index.writer.verify() == ()


def test_indexed_roots_lists_folders(index: KnowledgeIndex, folder: Path, tmp_path: Path) -> None:
    assert indexed_roots(tmp_path / "data") == []
    index.writer.add()
    assert indexed_roots(tmp_path / "data") == [folder]


@pytest.mark.parametrize("name", ["photo.png", "sheet.xlsx", "noending"])
def test_other_files_are_refused_by_name(index: KnowledgeIndex, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=name):
        index.writer.add()


def test_hidden_files_are_no_documents(folder: Path, tmp_path: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD.bin").write_bytes(b"\0")
    assert len(KnowledgeIndex(folder, tmp_path / "data", EMBEDDER).writer.add().added) == 2


async def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        await open_index(tmp_path / "nothing", tmp_path / "data", EMBEDDER)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no document"):
        await open_index(tmp_path / "empty", tmp_path / "data", EMBEDDER)


@pytest.mark.parametrize("data", [b"caf\xe9", "wide".encode("utf-16"), b"a\0b"])
def test_what_is_not_utf8_text_is_refused_by_name(index: KnowledgeIndex, folder: Path, data: bytes) -> None:
    (folder / "odd.txt").write_bytes(data)
    with pytest.raises(InputError, match=r"odd\.txt"):
        index.writer.add()
