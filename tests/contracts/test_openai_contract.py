"""The OpenAI adapter keeps the promises of the chat port, in front of the fake server."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shoal.models.network import build_client
from shoal.models.openai import OpenAIModel
from shoal.models.openai_request import Dialect
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.fake_openai import FakeOpenAI


class OpenAIContract(ChatModelContract):
    dialect: Dialect

    @pytest.fixture
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            FakeOpenAI(plays=self.dialect) as server,
            build_client(server.url, local_only=True) as client,
        ):
            yield client

    @pytest.fixture
    def model(self, client: httpx.AsyncClient) -> OpenAIModel:
        return OpenAIModel("fake", client, dialect=self.dialect)

    @pytest.fixture
    def missing_model(self, client: httpx.AsyncClient) -> OpenAIModel:
        return OpenAIModel("no-such-model", client, dialect=self.dialect)


class TestLocalServer(OpenAIContract):
    dialect = "local"


class TestCloud(OpenAIContract):
    dialect = "openai"


class TestReasoningModel(OpenAIContract):
    dialect = "reasoning"
