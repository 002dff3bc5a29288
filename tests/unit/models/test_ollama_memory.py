"""What is in the memory of the fake Ollama."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from shoal.core.errors import EngineDown, ModelMissing, Overloaded
from shoal.models.network import build_client
from shoal.models.ollama_memory import OllamaMemory
from shoal.testing.fake_ollama import NO_MEMORY, FakeModel, FakeOllama, Fault
from shoal.testing.http_server import HttpServer, Reply, Request

HERE = FakeModel(name="gemma3:1b", vram_bytes=1000)


@pytest.fixture
async def server() -> AsyncGenerator[FakeOllama]:
    async with FakeOllama([HERE]) as server:
        yield server


@pytest.fixture
async def client(server: FakeOllama) -> AsyncGenerator[httpx.AsyncClient]:
    async with build_client(server.url, local_only=True) as client:
        yield client


async def test_a_model_is_there_from_load_to_unload(server: FakeOllama, client: httpx.AsyncClient) -> None:
    memory = OllamaMemory(client)
    assert await memory.ps() == ()
    await memory.load("gemma3:1b", num_ctx=2048)
    (running,) = await memory.ps()
    assert (running.name, running.num_ctx, running.vram_bytes) == ("gemma3:1b", 2048, 1000)
    assert running.digest == HERE.digest
    await memory.unload("gemma3:1b")
    assert await memory.ps() == ()
    assert (server.scheduler.loads, server.scheduler.unloads) == (["gemma3:1b"], ["gemma3:1b"])


async def test_a_model_in_use_is_not_said_to_be_unloaded(
    server: FakeOllama, client: httpx.AsyncClient
) -> None:
    async with server.scheduler.use(HERE, None, 2048, keep_alive_s=None):
        with pytest.raises(Overloaded, match="still in memory"):
            await OllamaMemory(client, unload_s=0.05).unload("gemma3:1b")


async def test_what_cannot_be_loaded_says_why(server: FakeOllama, client: httpx.AsyncClient) -> None:
    memory = OllamaMemory(client)
    for work in (memory.load("absent", num_ctx=512), memory.unload("absent")):
        with pytest.raises(ModelMissing, match="absent"):
            await work
    server.fail(Fault.status(500, NO_MEMORY), on="/api/generate")
    with pytest.raises(EngineDown, match="cannot run") as caught:
        await memory.load("gemma3:1b", num_ctx=512)
    assert "more system memory" in caught.value.why


async def test_nobody_and_somebody_else_at_the_address_are_told(unused_tcp_port: int) -> None:
    async def serve(request: Request, reply: Reply) -> None:
        await reply.send_json([request.path])

    async with build_client(f"http://127.0.0.1:{unused_tcp_port}", local_only=True) as client:
        with pytest.raises(EngineDown) as caught:
            await OllamaMemory(client).ps()
        assert caught.value.mend == "ollama serve"
    async with HttpServer(serve) as server, build_client(server.url, local_only=True) as client:
        with pytest.raises(EngineDown, match="not Ollama"):
            await OllamaMemory(client).ps()
