"""Corrections become examples: added once, told apart from what contradicts them."""

from pathlib import Path

import pytest

from shoal.core.errors import ConfigError, StorageError
from shoal.router.correction import add_correction
from shoal.router.example import Example, load_examples


def test_a_correction_is_added_once_and_says_what_it_contradicts(tmp_path: Path) -> None:
    path = tmp_path / "router" / "examples.jsonl"
    first = add_correction(path, Example("Wo ist mein Päckchen?\n", "parcels"))
    assert (first.added, first.contradicts, first.examples) == (True, (), 1)
    again = add_correction(path, Example("wo ist  mein PÄCKCHEN?", "parcels"))
    assert (again.added, again.examples) == (False, 1)
    other = add_correction(path, Example("wo ist mein Päckchen?", None))
    assert (other.added, other.contradicts, other.examples) == (True, ("parcels",), 2)
    back = add_correction(path, Example("wo ist mein Päckchen?", "parcels"))
    assert (back.added, back.contradicts) == (False, ("nobody",))
    assert [example.agent for example in load_examples(path)] == ["parcels", None]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_last_line_without_its_end_is_not_joined_with_the_new_one(tmp_path: Path, end: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text('{"text": "a", "label": "x"}' + end)
    add_correction(path, Example("b", "y"))
    assert load_examples(path) == (Example("a", "x"), Example("b", "y"))


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text("text,label\n")
    with pytest.raises(ConfigError, match="not a labelled example"):
        add_correction(path, Example("b", "y"))
    assert path.read_text() == "text,label\n"
    (tmp_path / "router").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        add_correction(tmp_path / "router" / "examples.jsonl", Example("b", "y"))
