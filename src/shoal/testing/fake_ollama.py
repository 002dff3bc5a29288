"""A fake Ollama server: real sockets, the native API, and everything that goes wrong with the real one.

    async with FakeOllama([FakeModel(name="gemma3:1b", reply="Paris")]) as server:
        model = OllamaModel("gemma3:1b", build_client(server.url, local_only=True), num_ctx=2048)
        server.fail(Fault.status(503, QUEUE_FULL))

It behaves as v0.24 does, measured: the scheduler's queue, evictions and reloads, its deadlock with
keep_alive, slots and prefix caches, prompts cut in silence, streams without an end. It is no model: a
function says what is answered. Models do not expire by time, and every answer to a chat is streamed.
"""

import asyncio
import multiprocessing
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar, final

from pydantic import BaseModel, ValidationError

from shoal.testing.http_server import HttpServer, Reply, Request
from shoal.testing.ollama.chat import ChatHandler
from shoal.testing.ollama.chat_request import ChatBody, ChatCall
from shoal.testing.ollama.fault import CRASHED, LOADING, NO_MEMORY, QUEUE_FULL, Fault
from shoal.testing.ollama.lifecycle import CreateBody, EmbedBody, Library, NameBody
from shoal.testing.ollama.line import Cut, LineWriter
from shoal.testing.ollama.model import FakeAnswer, FakeModel, Seen
from shoal.testing.ollama.scheduler import Clock, Refusal, Scheduler

__all__ = [
    "CRASHED",
    "LOADING",
    "NO_MEMORY",
    "QUEUE_FULL",
    "FakeAnswer",
    "FakeModel",
    "FakeOllama",
    "Fault",
    "Seen",
    "ServerSettings",
    "serve_in_process",
]


Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the server is set up."""

    version: str = "0.24.0"
    time_scale: float = 0.0
    """Real seconds that a second of the server takes. At 0 nothing waits; durations are told all the same."""
    max_loaded_models: int = 3
    num_parallel: int = 1
    """Slots of a loaded model. Requests to it wait for one without bound."""
    max_queue: int = 512
    """Requests that may wait for a load."""
    one_write: bool = False
    """Send each answer in a single write, for measuring what is in front of the server."""


@final
class FakeOllama:
    """`async with FakeOllama(models) as server:` serves at `server.url` until the block ends."""

    def __init__(
        self,
        models: Iterable[FakeModel] = (),
        *,
        pullable: Iterable[FakeModel] = (),
        settings: ServerSettings | None = None,
    ) -> None:
        """`pullable`: what `/api/pull` finds beside the `models` that are there."""
        self.settings = settings or ServerSettings()
        self.requests: list[Request] = []
        """Every request, in order of arrival."""
        clock = Clock(self.settings.time_scale)
        self.scheduler = Scheduler(
            clock,
            max_loaded=self.settings.max_loaded_models,
            max_queue=self.settings.max_queue,
            slots=self.settings.num_parallel,
        )
        """`scheduler.loads` and `scheduler.unloads` are the names in order."""
        self.library = Library(models, pullable, self.scheduler, clock)
        self._chat = ChatHandler(self.scheduler, clock)
        self._faults: dict[str, deque[Fault | None]] = defaultdict(deque)
        self._arrived = asyncio.Event()
        self._http = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies sent to `/api/chat`."""
        return [request.json() for request in self.requests if request.path == "/api/chat"]

    @property
    def abandoned(self) -> int:
        """Requests whose client left before the end."""
        return self._http.cancelled

    def fail(self, *faults: Fault | None, on: str = "/api/chat") -> None:
        """Let the next requests to a path go wrong, one fault each; None = that one is well."""
        self._faults[on].extend(faults)

    async def until(self, *, chats: int) -> None:
        """Wait until this many requests to `/api/chat` have come."""
        while len(self.chats) < chats:
            self._arrived.clear()
            _ = await self._arrived.wait()

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scheduler.stop()
        await self._http.__aexit__(None, None, None)

    async def _answer(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        self._arrived.set()
        faults = self._faults[request.path]
        fault = faults.popleft() if faults else None
        try:
            if fault is not None and fault.kind == "status":
                raise Refusal(fault.code, fault.message)
            await self._route(request, reply, fault)
        except Refusal as refusal:
            await reply.send_json({"error": refusal.message}, status=refusal.status)
        except Cut:
            pass

    async def _route(self, request: Request, reply: Reply, fault: Fault | None) -> None:
        lines = LineWriter(reply, fault, one_write=self.settings.one_write)
        match request.method, request.path:
            case "POST", "/api/chat":
                body = _read(request, ChatBody)
                call = ChatCall(body=body, model=self.library.find(body.model))
                await self._chat.answer(call, lines)
            case "POST", "/api/generate":  # without a prompt: to load and to unload
                body = _read(request, ChatBody).model_copy(update={"messages": ()})
                await self._chat.answer(ChatCall(body=body, model=self.library.find(body.model)), lines)
            case "POST", "/api/pull":
                await self.library.pull(_read(request, NameBody).model, lines)
            case "POST", "/api/create":
                await self.library.create(_read(request, CreateBody), lines)
            case "HEAD" | "POST", path if path.startswith("/api/blobs/"):
                status = self._take_blob(request, path.removeprefix("/api/blobs/"))
                await reply.start(status=status, headers={"content-length": "0"})
            case "DELETE", "/api/delete":
                await self.library.delete(_read(request, NameBody).model)
                await reply.start(headers={"content-length": "0"})
            case _:
                await _send_found(self._look_up(request), reply, lines if fault else None)

    def _look_up(self, request: Request) -> Mapping[str, Any] | None:
        match request.method, request.path:
            case "GET", "/api/version":
                return {"version": self.settings.version}
            case "GET", "/api/tags":
                return self.library.tags()
            case "GET", "/api/ps":
                return self.library.ps()
            case "POST", "/api/show":
                return self.library.show(_read(request, NameBody).model)
            case "POST", "/api/embed":
                return self.library.embed(_read(request, EmbedBody))
            case _:
                return None

    def _take_blob(self, request: Request, digest: str) -> int:
        if request.method == "HEAD":
            return 200 if self.library.has_blob(digest) else 404
        if self.library.has_blob(digest):
            return 200
        self.library.add_blob(digest, request.body)
        return 201


async def _send_found(found: Mapping[str, Any] | None, reply: Reply, lines: LineWriter | None) -> None:
    if found is None:
        await reply.start(status=404, headers={"content-type": "text/plain"})
        await reply.send(b"404 page not found")
    elif lines is not None:
        await lines.send(found, last=True)
    else:
        await reply.send_json(found)


def _read(request: Request, kind: type[Body]) -> Body:
    try:
        return kind.model_validate_json(request.body)
    except ValidationError as error:
        raise Refusal(400, f"json: cannot unmarshal: {error}") from error


@contextmanager
def serve_in_process(
    models: Sequence[FakeModel], *, settings: ServerSettings | None = None
) -> Generator[str]:
    """Serve in a process of its own, so that a benchmark shares no interpreter with it; gives the URL.

    The models are pickled: their `reply` has to be a text or a function of a module.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(tuple(models), settings, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()  # the server ends when nobody holds the other end
        process.join()


def _serve(models: Sequence[FakeModel], settings: ServerSettings | None, parent: Connection) -> None:
    async def serve() -> None:
        gone = asyncio.Event()
        async with FakeOllama(models, settings=settings) as server:
            parent.send(server.url)
            asyncio.get_running_loop().add_reader(parent.fileno(), gone.set)
            _ = await gone.wait()

    asyncio.run(serve())
