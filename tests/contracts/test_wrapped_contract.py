"""A model inside all the wrappers, in the order in which they are put around an engine."""

import json
import re

import pytest

from shoal.core.chat import ChatRequest
from shoal.models.breaker import Breaker, BreakerModel
from shoal.models.deadline import DeadlineModel
from shoal.models.limit import LimitedModel
from shoal.models.retry import RetryingModel
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.scripted import ScriptedModel


def answer(request: ChatRequest) -> str:
    if request.schema is None:
        return "one two three four"
    mark = re.search(r"mark-\w", request.input)
    return json.dumps({"mark": mark[0]} if mark else {"colour": "green"})


class TestWrappedModel(ChatModelContract):
    @pytest.fixture
    def model(self) -> RetryingModel:
        limited = LimitedModel(DeadlineModel(ScriptedModel(answer)), parallel=2)
        return RetryingModel(BreakerModel(limited, Breaker("scripted")))
