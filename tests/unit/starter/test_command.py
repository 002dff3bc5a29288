"""The checks on commands."""

import pytest
from pydantic import ValidationError

from tools.command import Command, has_slots_of_its_intent

TEXT = "play Blue  Train by coltrane on spotify"


def command(**slots: list[str]) -> Command:
    return Command(intent="PlayMusic", slots=slots)


@pytest.mark.parametrize(
    ("slots", "album"),
    [
        ({"album": ["blue train"], "artist": ["coltrane"]}, ["Blue Train"]),
        ({"album": ["red train"]}, None),
        ({"album": [""]}, None),
    ],
)
def test_values_stand_in_the_text(slots: dict[str, list[str]], album: list[str] | None) -> None:
    said = {"intent": "PlayMusic", "slots": slots}
    if album is None:
        with pytest.raises(ValidationError, match="do not stand in the text"):
            Command.model_validate(said, context={"input": TEXT})
    else:
        assert Command.model_validate(said, context={"input": TEXT}).slots["album"] == album


@pytest.mark.parametrize(
    ("slots", "passes"),
    [
        ({"album": ["x"]}, True),
        ({"cuisine": ["x"]}, False),
        ({"colour": ["x"]}, False),
        ({"album": []}, False),
    ],
)
def test_slots_are_those_of_the_intent(slots: dict[str, list[str]], passes: bool) -> None:
    assert has_slots_of_its_intent(TEXT, command(**slots)) is passes
