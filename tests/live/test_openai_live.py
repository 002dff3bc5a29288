"""The OpenAI adapter in front of a real llama-server (llama.cpp's, from the embedded extra)."""

import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import httpx
import pytest

from shoal.core.chat import ChatRequest, Message, complete
from shoal.core.errors import ContextOverflow
from shoal.models.network import build_client
from shoal.models.openai import OpenAIModel
from shoal.testing.contract_chat import ChatModelContract

pytestmark = pytest.mark.live

SERVE = """
import sys
from xllamacpp import CommonParams, Server
params = CommonParams()
params.model.path = sys.argv[1]
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.ui, params.verbosity = 1024, 2, False, 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def url(smollm2_path: Path) -> Generator[str]:
    command = [sys.executable, "-c", SERVE, str(smollm2_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("http")).strip()
        yield f"{address}/v1"
        process.kill()


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with build_client(url, local_only=True) as client:
        yield client


class TestLlamaServer(ChatModelContract):
    @pytest.fixture
    def model(self, client: httpx.AsyncClient) -> OpenAIModel:
        return OpenAIModel("smollm2", client)


async def test_a_prompt_that_does_not_fit_is_told_by_the_type_of_the_error(client: httpx.AsyncClient) -> None:
    request = ChatRequest(messages=(Message("user", "word " * 2000),), max_tokens=1)
    with pytest.raises(ContextOverflow):
        await complete(OpenAIModel("smollm2", client).stream(request))


async def test_the_server_s_own_times_are_read(client: httpx.AsyncClient) -> None:
    request = ChatRequest(messages=(Message("user", "Count to ten."),), max_tokens=8)
    usage = (await complete(OpenAIModel("smollm2", client).stream(request))).usage
    assert usage.output_tokens == 8
    assert usage.prefill_s is not None
    assert usage.decode_s is not None
    assert usage.decode_s > 0
