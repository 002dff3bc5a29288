"""A fake OpenAI-compatible server: real sockets around a scripted model, and what goes wrong with real ones.

    async with FakeOpenAI("Paris") as server:
        model = OpenAIModel("fake", build_client(server.url, local_only=True))
        server.fail(refuse(429, code="rate_limit_exceeded", headers={"retry-after": "2"}))

It streams only. What it refuses depends on whom it plays: a local server takes and ignores unknown fields,
the cloud refuses them, and its reasoning models refuse sampling.
"""

import json
from collections import deque
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Literal, Self, final

from shoal.core.chat import ChatDelta, ChatRequest, ChatResponse, Message, TokenLogprob
from shoal.core.errors import ContextOverflow
from shoal.core.port import ModelInfo
from shoal.testing.http_server import Handler, HttpServer, Reply, Request
from shoal.testing.ollama.schema import example_of
from shoal.testing.scripted import Script, ScriptedModel

__all__ = ["FakeOpenAI", "break_off", "event", "refuse"]

Plays = Literal["local", "openai", "reasoning"]
COMMON = {"model", "messages", "stream", "stream_options", "stop", "response_format"}
CLOUD = COMMON | {"max_completion_tokens"}
ACCEPTED: Mapping[Plays, set[str]] = {
    "openai": CLOUD | {"temperature", "top_p", "seed", "logprobs", "top_logprobs"},
    "reasoning": CLOUD,
}
"""Fields of a request that the cloud knows."""


def refuse(
    status: int,
    message: str = "no",
    *,
    kind: str = "invalid_request_error",
    code: str | int | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Handler:
    """A fault: answer with a status and an error object; `kind` is its type."""

    async def answer(_: Request, reply: Reply) -> None:
        error = {"message": message, "type": kind, "param": param, "code": code}
        await reply.send_json({"error": error}, status=status, headers=headers)

    return answer


def event(data: object) -> bytes:
    """One event of a stream; bytes go out as they are."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def break_off(*events: bytes, ending: Literal["end", "close", "reset"] = "end") -> Handler:
    """A fault: say `events`, then end the response (without [DONE]) or lose the connection."""

    async def answer(_: Request, reply: Reply) -> None:
        await reply.start(headers={"content-type": "text/event-stream"})
        for data in events:
            await reply.send(data)
        if ending == "close":
            reply.close()
        elif ending == "reset":
            reply.reset()

    return answer


@final
class FakeOpenAI:
    """`async with FakeOpenAI(script) as server:` serves at `server.url` until the block ends."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        plays: Plays = "local",
        num_ctx: int = 2048,
        key: str | None = None,
    ) -> None:
        """`script`: None repeats the question, or gives what the schema allows."""
        self.scripted = ScriptedModel(
            _echo if script is None else script, info=ModelInfo(name="scripted:fake", num_ctx=num_ctx)
        )
        self.requests: list[Request] = []
        """Every request, in order of arrival."""
        self._plays: Plays = plays
        self._num_ctx = num_ctx
        self._key = key
        self._faults: deque[Handler] = deque()
        self._http = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return f"{self._http.url}/v1"

    @property
    def abandoned(self) -> int:
        """Requests whose client left before the end."""
        return self._http.cancelled

    def fail(self, *faults: Handler) -> None:
        """Let the next chat requests go wrong, one fault each."""
        self._faults.extend(faults)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._http.__aexit__(*details)

    async def _answer(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        if self._key is not None and request.headers.get("authorization") != f"Bearer {self._key}":
            await refuse(401, "Incorrect API key provided", code="invalid_api_key")(request, reply)
        elif request.path == "/v1/models":
            card = {"id": "fake", "object": "model", "owned_by": "vllm", "max_model_len": self._num_ctx}
            await reply.send_json({"object": "list", "data": [card]})
        elif request.path != "/v1/chat/completions":
            await reply.send_json({"detail": "Not Found"}, status=404)
        elif self._faults:
            await self._faults.popleft()(request, reply)
        else:
            await self._chat(request, reply)

    async def _chat(self, request: Request, reply: Reply) -> None:
        body: dict[str, Any] = request.json()
        unknown = set(body) - ACCEPTED.get(self._plays, set(body))
        if unknown:
            fault = refuse(400, "Unsupported parameter", code="unsupported_parameter", param=min(unknown))
        elif body["model"] != "fake":
            fault = refuse(404, "The model does not exist", kind="NotFoundError", code=404)
        else:
            fault = await self._stream(body, reply)
        if fault is not None:
            await fault(request, reply)

    async def _stream(self, body: dict[str, Any], reply: Reply) -> Handler | None:
        """Answer; or give back the refusal of a prompt that does not fit."""
        has_begun = False
        async with aclosing(self.scripted.stream(_as_chat(body))) as said:
            try:
                async for part in said:
                    if not has_begun:
                        await reply.start(headers={"content-type": "text/event-stream"})
                        await reply.send(b": the stream begins\r\n\r\n")
                        has_begun = True
                    for data in _as_chunks(part):
                        await reply.send(event(data))
            except ContextOverflow as error:
                return refuse(400, error.why, kind="BadRequestError", code=400, param="input_tokens")
        await reply.send(event(b"[DONE]"))
        return None


def _echo(request: ChatRequest) -> str:
    if request.schema is not None:
        return json.dumps(example_of(request.schema))
    return f"You said: {request.messages[-1].content}"


def _as_chat(body: Mapping[str, Any]) -> ChatRequest:
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return ChatRequest(
        messages=tuple(Message(message["role"], message["content"]) for message in body["messages"]),
        max_tokens=body.get("max_tokens") or body["max_completion_tokens"],
        schema=schema,
        top_logprobs=body.get("top_logprobs") if body.get("logprobs") else None,
    )


def _as_chunks(part: ChatDelta | ChatResponse) -> list[dict[str, Any]]:
    if isinstance(part, ChatDelta):
        logprobs = {"content": [_as_logprob(token) for token in part.tokens]} if part.tokens else None
        return [_chunk({"content": part.text}, logprobs=logprobs)]
    usage = {
        "prompt_tokens": part.usage.input_tokens,
        "completion_tokens": part.usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": part.usage.cached_tokens},
    }
    return [_chunk({}, ending=part.finish_reason), {"choices": [], "usage": usage}]


def _chunk(delta: object, *, logprobs: object = None, ending: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": ending}]}


def _as_logprob(token: TokenLogprob) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob} for text, logprob in token.top]
    return {"token": token.text, "logprob": token.logprob, "top_logprobs": top}
