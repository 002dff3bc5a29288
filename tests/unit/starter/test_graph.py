"""The shipped graph: a pattern that has to work as it stands."""

from pathlib import Path

import pytest

from shoal.project import open_project

ROOT = Path(__file__).parents[3]


async def test_a_mail_goes_to_its_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(ROOT)
    graph = open_project(ROOT).graph("inbox")
    state = await graph.ainvoke({"mail": "I do not know why the cash machine kept my card"})
    assert "[cash/" in state["answer"] or "[cards/" in state["answer"]
