import json
import re

import pytest

from shoal.core.chat import ChatRequest
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.scripted import ScriptedModel


def _answer(request: ChatRequest) -> str:
    if request.schema is None:
        return "one two three four"
    if mark := re.search(r"mark-\w", request.input):
        return json.dumps({"mark": mark[0]})
    return json.dumps({"colour": "green"})


class TestScriptedModel(ChatModelContract):
    @pytest.fixture
    def model(self) -> ScriptedModel:
        return ScriptedModel(_answer)
