"""The Ollama adapter keeps the promises of the chat port, in front of the fake server."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shoal.models.network import build_client
from shoal.models.ollama import OllamaModel
from shoal.testing.contract_chat import ChatModelContract
from shoal.testing.fake_ollama import FakeModel, FakeOllama


class TestOllamaModel(ChatModelContract):
    @pytest.fixture
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            FakeOllama([FakeModel(name="smollm2:135m")]) as server,
            build_client(server.url, local_only=True) as client,
        ):
            yield client

    @pytest.fixture
    def model(self, client: httpx.AsyncClient) -> OllamaModel:
        return OllamaModel("smollm2:135m", client, num_ctx=512)

    @pytest.fixture
    def missing_model(self, client: httpx.AsyncClient) -> OllamaModel:
        return OllamaModel("no-such-model", client, num_ctx=512)
