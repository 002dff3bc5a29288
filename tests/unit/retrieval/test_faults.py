"""Kill, second writer, damage, other parts: what goes wrong is found, said and mended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from shoal.core.errors import StorageDamaged, StorageError, StorageLocked
from shoal.retrieval.chunking import ChunkSize, chunking_id
from shoal.retrieval.collection import ChunkCollection
from shoal.retrieval.connection import mapped_errors, open_embedded
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import KnowledgeIndex
from shoal.retrieval.lock import writer_lock
from shoal.retrieval.record import Contents

if TYPE_CHECKING:
    from chromadb import Collection

DOCUMENTS = 7
EMBEDDER = MiniLM()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    root.mkdir()
    for number in range(DOCUMENTS):
        words = [f"fact{number}x{sentence} is known." for sentence in range(40)]
        (root / f"{number:02}.txt").write_text(" ".join(words), encoding="utf-8")
    return root


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Generator[KnowledgeIndex]:
    index = KnowledgeIndex(folder, tmp_path / "data", EMBEDDER)
    yield index
    index.retriever.close()


def run_child(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


ADD = """
import sys
from pathlib import Path
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import KnowledgeIndex
def show(source, done, total):
    print(done, flush=True)
    sys.stdin.readline()
KnowledgeIndex(Path(sys.argv[1]), Path(sys.argv[2]), MiniLM()).writer.add(show)
"""


def test_a_kill_during_ingest_is_found_and_mended(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    with run_child(ADD, folder, tmp_path / "data") as child:
        assert child.stdin
        assert child.stdout
        for _ in range(3):
            assert child.stdout.readline()
            child.stdin.write("\n")
            child.stdin.flush()
        child.kill()
    found = index.writer.verify()
    assert {damage.kind for damage in found} == {"unindexed"}
    assert len(found) in {DOCUMENTS - 3, DOCUMENTS - 4}  # the fourth may have been written, unreported
    report = index.writer.add()
    assert len(report.added) == len(found)
    assert index.writer.verify() == ()


KILL_BETWEEN_WRITE_AND_DELETE = """
import os, signal, sys
from pathlib import Path
from shoal.retrieval.chunking import ChunkSize, chunking_id
from shoal.retrieval.chunking import ChunkSize, chunking_id
from shoal.retrieval.collection import ChunkCollection
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import index_place
from shoal.retrieval.writer import IndexWriter
class Dying(ChunkCollection):
    def delete(self, ids):
        os.kill(os.getpid(), signal.SIGKILL)
root, data, embedder = Path(sys.argv[1]), Path(sys.argv[2]), MiniLM()
place, chunking = index_place(root, data), chunking_id(ChunkSize())
collection = Dying(place, embedder=embedder.id, dimension=384, chunking=chunking)
IndexWriter(root, collection, embedder, ChunkSize()).add()
"""


def test_a_kill_between_writing_and_deleting_leaves_too_much_and_is_mended(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    index.writer.add()
    changed = folder / "03.txt"
    changed.write_text(changed.read_text(encoding="utf-8").replace("known", "proven"), encoding="utf-8")
    with run_child(KILL_BETWEEN_WRITE_AND_DELETE, folder, tmp_path / "data") as child:
        pass
    assert child.returncode == -signal.SIGKILL
    assert [damage.kind for damage in index.writer.verify()] == ["leftover"]
    assert index.writer.add().changed == ("library/03.txt",)
    assert index.writer.verify() == ()


def test_of_three_writers_two_are_refused_with_the_pid_of_the_first(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    with run_child(ADD, folder, tmp_path / "data") as first:
        assert first.stdout
        assert first.stdout.readline()
        second = subprocess.run(
            [sys.executable, "-c", ADD, folder, tmp_path / "data"],
            input="",
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"StorageLocked: the index at {index.place.folder}" in second.stderr
        assert f"process {first.pid}" in second.stderr
        with pytest.raises(StorageLocked, match=f"process {first.pid} "):
            index.writer.add()
        with pytest.raises(StorageLocked, match=f"process {first.pid} "):
            index.writer.verify()
        first.kill()
    index.writer.add()
    assert index.writer.verify() == ()


async def test_readers_are_served_while_another_process_writes(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    index.writer.add()
    (folder / "new.txt").write_text("Penguins cannot fly.", encoding="utf-8")
    with run_child(ADD, folder, tmp_path / "data") as writer:
        assert writer.stdout
        assert writer.stdout.readline()
        best, *_ = await index.search("fact5x3", limit=1)
        assert best.source == "library/05.txt"
        writer.communicate("\n" * DOCUMENTS * 2)
    best, *_ = await index.search("penguins", limit=1)
    assert best.source == "library/new.txt"


def test_the_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    held = pytest.raises(StorageLocked, match=f"process {os.getpid()} ")
    with writer_lock(tmp_path / "lock"), held, writer_lock(tmp_path / "lock"):
        pass
    with writer_lock(tmp_path / "lock"):
        holder = cast("dict[str, object]", json.loads((tmp_path / "lock").read_text(encoding="utf-8")))
        assert holder["pid"] == os.getpid()


def collection_of(index: KnowledgeIndex, *, embedder: str = "", dimension: int = 0) -> ChunkCollection:
    return ChunkCollection(
        index.place,
        embedder=embedder or EMBEDDER.id,
        dimension=dimension or EMBEDDER.dimension,
        chunking=chunking_id(ChunkSize()),
    )


def contents_of(index: KnowledgeIndex) -> Contents:
    contents = collection_of(index).read()
    assert contents is not None
    return contents


def folder_of(index: KnowledgeIndex) -> Path:
    state = cast(
        "dict[str, str]", json.loads((index.place.folder / "state.json").read_text(encoding="utf-8"))
    )
    return index.place.folder / state["folder"]


@pytest.mark.parametrize(("embedder", "dimension"), [("another/model", 0), ("", 768)])
def test_another_embedder_is_refused(index: KnowledgeIndex, embedder: str, dimension: int) -> None:
    index.writer.add()
    changed = collection_of(index, embedder=embedder, dimension=dimension)
    with pytest.raises(StorageDamaged, match="does not fit") as caught:
        changed.read()
    assert caught.value.mend == index.place.rebuild
    changed.close()


def chroma(index: KnowledgeIndex) -> "Collection":
    return open_embedded(index.place, folder_of(index)).get_collection(
        index.place.name, embedding_function=None
    )


def test_damage_of_every_kind_is_found_and_mended(index: KnowledgeIndex, folder: Path) -> None:
    index.writer.add()
    contents = contents_of(index)
    of = {chunk.passage.source: chunk for chunk in contents.chunks if chunk.number == 0}
    raw = chroma(index)
    raw.delete(ids=[of["library/00.txt"].id])
    raw.update(ids=[of["library/01.txt"].id], embeddings=np.eye(1, 384, dtype=np.float32))
    raw.update(ids=[of["library/02.txt"].id], documents=["something else"], embeddings=contents.vectors[:1])
    double = of["library/03.txt"]
    raw.add(
        ids=["0" * 32],
        documents=[double.passage.text],
        embeddings=contents.vectors[:1],
        metadatas=raw.get(ids=[double.id])["metadatas"],
    )
    (folder / "04.txt").write_text("Changed.", encoding="utf-8")
    (folder / "05.txt").unlink()
    (folder / "06b.txt").write_text("New.", encoding="utf-8")

    found = {(damage.source, damage.kind) for damage in index.writer.verify()}

    assert found >= {
        ("library/00.txt", "missing"),
        ("library/01.txt", "vector"),
        ("library/02.txt", "text"),
        ("library/03.txt", "duplicate"),
        ("library/04.txt", "stale"),
        ("library/05.txt", "removed"),
        ("library/06b.txt", "unindexed"),
    }
    assert {source for source, _ in found} == {
        f"library/{name}.txt" for name in ("00", "01", "02", "03", "04", "05", "06b")
    }
    index.writer.add()
    assert index.writer.verify() == ()


def test_a_vector_that_fits_another_text_is_found(index: KnowledgeIndex) -> None:
    """Two vectors swapped: both valid, both unit length, both wrong."""
    index.writer.add()
    contents = contents_of(index)
    ids = [chunk.id for chunk in contents.chunks[:2]]
    chroma(index).update(ids=ids, embeddings=contents.vectors[1::-1].copy())
    assert [damage.kind for damage in index.writer.verify()] == ["vector", "vector"]


@pytest.mark.parametrize("bytes_", [b"", b"not a database" * 1000])
def test_a_ruined_database_is_named_and_rebuilt(index: KnowledgeIndex, bytes_: bytes) -> None:
    index.writer.add()
    (folder_of(index) / "chroma.sqlite3").write_bytes(bytes_)
    with pytest.raises(StorageError, match=index.place.name) as caught:
        index.writer.verify()
    assert caught.value.mend.startswith("shoal index add ")
    assert len(index.writer.rebuild().added) == DOCUMENTS
    assert index.writer.verify() == ()


def test_a_lost_database_is_named_and_made_anew_by_add(index: KnowledgeIndex) -> None:
    index.writer.add()
    (folder_of(index) / "chroma.sqlite3").unlink()
    with pytest.raises(StorageError, match="there is no index"):
        index.writer.verify()
    assert len(index.writer.add().added) == DOCUMENTS


def test_nothing_lasting_is_outside_of_sqlite(index: KnowledgeIndex, tmp_path: Path) -> None:
    """Chroma's own index files can be filled with noise (which crashes it, where it reads them)."""
    index.writer.add()
    for path in folder_of(index).glob("*/*.bin"):
        path.write_bytes(os.urandom(4096))
    assert index.writer.verify() == ()


def test_half_a_page_of_noise_in_the_database(index: KnowledgeIndex) -> None:
    index.writer.add()
    database = folder_of(index) / "chroma.sqlite3"
    data = bytearray(database.read_bytes())
    data[len(data) // 4 : len(data) // 2] = os.urandom(len(data) // 2 - len(data) // 4)
    database.write_bytes(data)
    with pytest.raises(StorageDamaged) as caught:
        index.writer.verify()
    assert "--rebuild" in caught.value.mend
    index.writer.rebuild()
    assert index.writer.verify() == ()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("(code: 5) database is locked", StorageLocked),
        ("(code: 8) attempt to write a readonly database", StorageError),
        ("(code: 13) database or disk is full", StorageError),
        ("(code: 778) disk I/O error", StorageError),
        ("(code: 11) database disk image is malformed", StorageDamaged),
        ("Failed to apply logs", StorageDamaged),
    ],
)
def test_failures_of_the_database_are_told_apart(
    index: KnowledgeIndex, code: str, expected: type[StorageError]
) -> None:
    from chromadb.errors import InternalError

    index.place.folder.mkdir(parents=True)
    with pytest.raises(StorageError) as caught, mapped_errors(index.place):
        raise InternalError(f"error returned from database: {code}")
    assert type(caught.value) is expected


def test_an_unwritable_folder_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"):
        KnowledgeIndex(folder, tmp_path / "file", EMBEDDER).writer.add()


LIMITED_FILE_SIZE = (
    """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
"""
    + ADD
)


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limits on Windows")
def test_a_full_disk_is_said_and_the_index_stays_whole(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    (folder / "00.txt").write_text("This fills the disk. " * 600, encoding="utf-8")
    child = subprocess.run(
        [sys.executable, "-c", LIMITED_FILE_SIZE, folder, tmp_path / "data"],
        input="\n" * DOCUMENTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StorageError: cannot write the index" in child.stderr
    index.writer.add()
    assert index.writer.verify() == ()


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_removed_and_replaced_text_leaves_the_disk(index: KnowledgeIndex, folder: Path) -> None:
    (folder / "secret.txt").write_text("The password is rhododendron.", encoding="utf-8")
    index.writer.add()
    assert b"rhododendron" in bytes_below(index.place.folder)
    (folder / "secret.txt").write_text("The password is hydrangea.", encoding="utf-8")
    index.writer.add()
    assert b"rhododendron" not in bytes_below(index.place.folder)
    (folder / "secret.txt").unlink()
    index.writer.add()
    assert b"hydrangea" not in bytes_below(index.place.folder)
    assert index.writer.verify() == ()


def test_nothing_of_the_memory_of_this_process_is_left_on_the_disk(index: KnowledgeIndex) -> None:
    """Chroma makes the files of its approximate index from memory that it did not clear."""
    index.writer.add()
    assert index.writer.verify() == ()
    files = list(folder_of(index).glob("*/*"))
    assert files
    assert [path for path in files if path.stat().st_size] == []


KILL_BEFORE_PURGE = KILL_BETWEEN_WRITE_AND_DELETE.replace("def delete(self, ids)", "def purge(self)")


def test_a_purge_that_was_cut_short_is_made_up_for(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    (folder / "secret.txt").write_text("The password is rhododendron.", encoding="utf-8")
    index.writer.add()
    (folder / "secret.txt").unlink()
    with run_child(KILL_BEFORE_PURGE, folder, tmp_path / "data") as child:
        pass
    assert child.returncode == -signal.SIGKILL
    assert index.writer.verify() == ()
    assert b"rhododendron" in bytes_below(index.place.folder)
    assert index.writer.add().removed == ()
    assert b"rhododendron" not in bytes_below(index.place.folder)


KILL_DURING_REBUILD = ADD.replace(".add(show)", ".rebuild(show)")


async def test_the_old_index_serves_until_a_rebuild_is_done(
    index: KnowledgeIndex, folder: Path, tmp_path: Path
) -> None:
    index.writer.add()
    before = folder_of(index)
    with run_child(KILL_DURING_REBUILD, folder, tmp_path / "data") as child:
        assert child.stdout
        assert child.stdout.readline()
        best, *_ = await index.search("fact5x3", limit=1)
        assert best.source == "library/05.txt"
        child.kill()
    assert folder_of(index) == before
    assert index.writer.verify() == ()
    index.writer.rebuild()
    assert folder_of(index) != before
    assert not before.exists()
    best, *_ = await index.search("fact5x3", limit=1)
    assert best.source == "library/05.txt"
