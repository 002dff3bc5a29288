"""The checks on commands."""

import pytest

from tools.command import Command, has_slots_of_its_intent, says_words_of_the_command

TEXT = "play Blue  Train by coltrane on spotify"


def command(**slots: list[str]) -> Command:
    return Command(intent="PlayMusic", slots=slots)


@pytest.mark.parametrize(
    ("slots", "passes"),
    [
        ({"album": ["blue train"], "artist": ["coltrane"]}, True),
        ({}, True),
        ({"album": ["red train"]}, False),
        ({"album": [""]}, False),
    ],
)
def test_values_stand_in_the_text(slots: dict[str, list[str]], passes: bool) -> None:
    assert says_words_of_the_command(TEXT, command(**slots)) is passes


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
