"""`Toolset`: names are unique, and a wrong one gets the nearest."""

import pytest

from shoal.core.errors import ConfigError, UnknownName
from shoal.tools import Tool, Toolset


def price(item: str) -> str:
    """Price of an item."""
    return item


def stock(item: str) -> str:
    """How many there are."""
    return item


def test_looks_up_by_name() -> None:
    toolset = Toolset([Tool.of(price), Tool.of(stock)])

    assert [tool.name for tool in toolset] == ["price", "stock"]
    assert len(toolset) == 2
    assert toolset["stock"].description == "How many there are."


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are called price"):
        Toolset([Tool.of(price), Tool.of(price)])


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match='"prise"') as caught:
        Toolset([Tool.of(price), Tool.of(stock)])["prise"]
    assert caught.value.suggestion == "price"
