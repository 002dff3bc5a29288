import re

import pytest

from shoal.models.function import FunctionModel
from shoal.testing.contract_chat import ChatModelContract, Colour


def answer(text: str) -> Colour | dict[str, str] | str:
    if mark := re.search(r"mark-\w", text):
        return {"mark": mark[0]}
    return Colour(colour="green") if "colour" in text else "one two three"


class TestSyncFunctionModel(ChatModelContract):
    @pytest.fixture
    def model(self) -> FunctionModel:
        return FunctionModel(answer)


class TestAsyncFunctionModel(ChatModelContract):
    @pytest.fixture
    def model(self) -> FunctionModel:
        async def later(text: str) -> Colour | dict[str, str] | str:
            return answer(text)

        return FunctionModel(later)
