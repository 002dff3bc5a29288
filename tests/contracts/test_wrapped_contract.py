"""A model inside all the wrappers, in the order in which they are put around an engine."""

import json
import re

import pytest

from shoal.core.chat import ChatRequest
from shoal.models.breaker import Breaker, BreakerModel
from shoal.models.deadline import DeadlineModel
from shoal.models.retry import RetryingModel
from shoal.serving.schedule import Schedule
from shoal.serving.scheduled_model import ScheduledModel
from shoal.serving.scheduler import Scheduler
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
        scheduler = Scheduler("scripted", Schedule())
        scheduled = ScheduledModel(DeadlineModel(ScriptedModel(answer)), scheduler, parallel=2)
        return RetryingModel(BreakerModel(scheduled, Breaker("scripted")))
