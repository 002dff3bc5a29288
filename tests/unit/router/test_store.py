import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.errors import StorageDamaged, StorageError
from shoal.router import Router

from .conftest import WordEncoder

ROWS = [(f"{verb} the {thing}", thing) for verb in "abcdefgh" for thing in ("parcel", "invoice")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Router.fit(ROWS, encoder=WordEncoder()).save(tmp_path / "router")
    return tmp_path / "router"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=9), st.sampled_from(["é", "two", None])), max_size=60),
    st.text(min_size=1, max_size=9),
)
def test_a_saved_router_decides_as_before(rows: list[tuple[str, str | None]], text: str) -> None:
    router = Router.fit(rows, jobs={"é": "first", "two": "second"}, encoder=WordEncoder())
    with TemporaryDirectory() as folder:
        router.save(folder)
        again = Router.load(folder, encoder=WordEncoder())
    assert again.decide(text) == router.decide(text)
    assert (again.report, again.agents, again.threshold) == (router.report, router.agents, router.threshold)


def test_a_router_with_agents_that_have_no_examples_decides_as_before(tmp_path: Path) -> None:
    rows = [
        (f"{verb} the {thing} {i}", thing) for verb in "abcdef" for thing in ("cup", "bag") for i in "xyzuv"
    ]
    jobs = {"cup": "about the cup", "bag": "about the bag", "hat": "about the hat"}
    router = Router.fit(rows, jobs=jobs, encoder=WordEncoder())
    router.save(tmp_path)
    again = Router.load(tmp_path, encoder=WordEncoder())
    assert router.decide("a the cup x").calibrated
    for text in ("a the cup x", "about hat", "what now"):
        assert again.decide(text) == router.decide(text)
    assert (router.decide("about hat").agent, router.decide("about hat").calibrated) == ("hat", False)


def test_half_a_surrogate_pair_is_saved_as_a_question_mark(tmp_path: Path) -> None:
    rows = [*ROWS, ("hi \ud83d there", "parcel"), ("hi \ud83d  there", "parcel")]
    router = Router.fit(rows, encoder=WordEncoder())
    router.save(tmp_path)
    assert router.report.duplicates == ("hi ? there",)
    assert Router.load(tmp_path, encoder=WordEncoder()).report == router.report


def test_saving_over_an_older_router_replaces_it(folder: Path) -> None:
    Router.fit([("a", "other"), ("b", "another")], encoder=WordEncoder()).save(folder)
    assert Router.load(folder, encoder=WordEncoder()).agents == ("another", "other")


@pytest.mark.parametrize("name", ["arrays.npz", "examples.jsonl", "router.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_a_damaged_router_is_refused_with_the_mend(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        _ = path.write_bytes(content[:-20] if damage == "cut" else b"\x00" + content[1:])
    with pytest.raises(StorageDamaged) as caught:
        _ = Router.load(folder, encoder=WordEncoder())
    assert "shoal router fit" in str(caught.value.mend)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("version", 2, "shoal-router 2"),
        ("format", "somebody-elses", "somebody-elses"),
        ("encoder", "another/7", "another/7"),
        ("agents", 5, "not what was written"),
    ],
)
def test_a_foreign_or_older_router_is_refused(folder: Path, field: str, value: object, why: str) -> None:
    path = folder / "router.json"
    manifest = json.loads(path.read_text("utf-8"))
    _ = path.write_text(json.dumps(manifest | {field: value}), encoding="utf-8")
    with pytest.raises(StorageDamaged) as caught:
        _ = Router.load(folder, encoder=WordEncoder())
    assert why in str(caught.value.why)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    _ = (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        Router.fit(ROWS, encoder=WordEncoder()).save(tmp_path / "file")
