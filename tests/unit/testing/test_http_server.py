import asyncio

import httpx
import pytest

from shoal.testing.http_server import HttpServer, Reply, Request


async def test_answers_with_the_request_it_got_and_keeps_the_connection() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        await reply.send_json([request.method, request.path, request.query, request.json()], status=201)

    async with HttpServer(handler) as server, httpx.AsyncClient(base_url=server.url) as client:
        first = await client.post("/a", json={"n": 1})
        second = await client.post("/b?x=1", json={"n": 2})
        assert len(server.connections) == 1
    assert first.status_code == 201
    assert first.json() == ["POST", "/a", "", {"n": 1}]
    assert second.json() == ["POST", "/b", "x=1", {"n": 2}]


async def test_streams_in_chunks() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        await reply.start(headers={"content-type": "text/plain"})
        for word in (b"one ", b"two ", b"three"):
            await reply.send(word)

    async with (
        HttpServer(handler) as server,
        httpx.AsyncClient() as client,
        client.stream("GET", server.url) as response,
    ):
        chunks = [chunk async for chunk in response.aiter_raw()]
    assert chunks == [b"one ", b"two ", b"three"]


@pytest.mark.parametrize(
    ("ending", "seen"), [("close", httpx.RemoteProtocolError), ("reset", httpx.ReadError)]
)
async def test_can_end_in_the_middle_of_a_chunk(ending: str, seen: type[httpx.TransportError]) -> None:
    async def handler(request: Request, reply: Reply) -> None:
        await reply.start()
        await reply.send_raw(b"ff\r\nhalf a chunk")
        reply.close() if ending == "close" else reply.reset()

    async with HttpServer(handler) as server, httpx.AsyncClient() as client:
        with pytest.raises(seen):
            await client.get(server.url)
    assert server.cancelled == 0


async def test_a_client_that_leaves_cancels_its_handler() -> None:
    ended = asyncio.Event()

    async def handler(request: Request, reply: Reply) -> None:
        await reply.start()
        await reply.send(b"first")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with HttpServer(handler) as server, httpx.AsyncClient() as client:
        async with client.stream("GET", server.url) as response:
            async for _ in response.aiter_raw():
                break
        async with asyncio.timeout(5):
            await ended.wait()
        assert server.cancelled == 1


async def test_a_failing_handler_fails_the_test() -> None:
    async def handler(request: Request, reply: Reply) -> None:
        raise LookupError("a bug in the fake")

    async def use_it() -> None:
        async with HttpServer(handler) as server, httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(server.url)

    with pytest.raises(LookupError, match="a bug in the fake"):
        await use_it()
