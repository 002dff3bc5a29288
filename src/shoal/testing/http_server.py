"""A small HTTP/1.1 server on a free port of 127.0.0.1, under the fake engines.

Real sockets, so that clients are tested with what a network does: chunks, resets, early ends. A client
that goes away cancels the handler that was answering it, as engines do. Not for production.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import h11

__all__ = ["Handler", "HttpServer", "Reply", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """Without the query."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@final
class Reply:
    """Writes one response: `send_json`, or `start` and any number of `send`; returning ends it."""

    def __init__(self, protocol: h11.Connection, transport: asyncio.Transport) -> None:
        self._protocol = protocol
        self._transport = transport

    async def send_json(
        self, body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        data = json.dumps(body).encode()
        sized = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        await self.start(status=status, headers=sized)
        await self.send(data)

    async def start(self, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status and headers; the body goes in chunks unless a content-length is among them."""
        await self._send(h11.Response(status_code=status, headers=list((headers or {}).items())))

    async def send(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def send_raw(self, data: bytes) -> None:
        """Write past the protocol, e.g. half a chunk; follow it with `close` or `reset`."""
        self._transport.write(data)
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close the connection in order (FIN) without ending the response."""
        self._transport.close()

    def reset(self) -> None:
        """Tear the connection down (RST)."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def finish(self) -> None:
        """End the response, unless the connection is gone already; the server calls this itself."""
        if self._protocol.our_state is h11.SEND_BODY and not self._transport.is_closing():
            await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._transport.write(self._protocol.send(event) or b"")
        await asyncio.sleep(0)  # lets the client read this chunk before the next one


Handler = Callable[[Request, Reply], Awaitable[None]]


@final
class HttpServer:
    """`async with HttpServer(handler) as server:` serves at `server.url` until the block ends."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[asyncio.Transport] = set()
        """Open ones."""
        self.cancelled = 0
        """Handlers cancelled because their client went away."""
        self.answers: set[asyncio.Task[None]] = set()
        """Handlers at work, and those that failed."""

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        for answer in self.answers:
            answer.cancel()
        endings = await asyncio.gather(*self.answers, return_exceptions=True)
        await self._server.wait_closed()
        for ending in endings:
            if isinstance(ending, Exception):
                raise ending


class _Connection(asyncio.Protocol):
    """One connection: requests in, one handler at a time, its reply out."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._protocol = h11.Connection(h11.SERVER)
        self._head = h11.Request(method="GET", target="/", headers=[("host", "none")])
        self._body = bytearray()
        self._answer: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._read_events()

    def eof_received(self) -> None:
        self._client_left()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._client_left()
        if self._answer is not None:
            self._answer.cancel()
        self._server.connections.discard(self._transport)

    def _client_left(self) -> None:
        if self._answer is not None and not self._answer.done() and not self._answer.cancelling():
            self._server.cancelled += 1
            self._answer.cancel()

    def _read_events(self) -> None:
        while True:
            match self._protocol.next_event():
                case h11.Request() as head:
                    self._head = head
                    self._body.clear()
                case h11.Data(data=data):
                    self._body += data
                case h11.EndOfMessage():
                    self._answer = asyncio.create_task(self._reply())
                    self._server.answers.add(self._answer)
                    self._answer.add_done_callback(self._ended)
                case _:  # more data is needed, or the last reply is still under way
                    return

    async def _reply(self) -> None:
        reply = Reply(self._protocol, self._transport)
        await self._server.handler(_as_request(self._head, bytes(self._body)), reply)
        await reply.finish()
        if self._protocol.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            self._protocol.start_next_cycle()
            self._read_events()
        else:
            self._transport.close()

    def _ended(self, answer: asyncio.Task[None]) -> None:
        if answer.cancelled() or answer.exception() is None:
            self._server.answers.discard(answer)
        else:
            self._transport.abort()


def _as_request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode().partition("?")
    headers = {name.decode(): value.decode() for name, value in head.headers}
    return Request(method=head.method.decode(), path=path, query=query, headers=headers, body=body)
