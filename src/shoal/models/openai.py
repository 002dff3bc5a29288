"""Chat with a model behind any OpenAI-compatible `/chat/completions`: vLLM, llama-server, LM Studio, a cloud.

Not for Ollama, whose endpoint of this kind ignores num_ctx and hence cuts prompts without a word: use the
engine `ollama:`. Not a retry, queue or deadline: those wrap any `ChatModel`.
"""

from collections.abc import AsyncGenerator
from ipaddress import ip_address
from typing import final

import httpx
from pydantic import ValidationError

from shoal.core.chat import ChatEvent, ChatRequest, ChatResponse
from shoal.core.errors import ContextOverflow, EngineDown, ModelMissing
from shoal.core.port import ModelInfo
from shoal.models.openai_answer import OpenAIAnswer
from shoal.models.openai_error import Server, from_status, from_transport
from shoal.models.openai_request import DIALECTS, Dialect, encode_request
from shoal.models.openai_wire import ModelCard, ModelList
from shoal.models.sse import read_events
from shoal.models.window import PromptWindow

__all__ = ["OpenAIModel"]


@final
class OpenAIModel:
    """One model of one server."""

    def __init__(
        self,
        model: str,
        client: httpx.AsyncClient,
        *,
        num_ctx: int | None = None,
        dialect: Dialect = "local",
    ) -> None:
        """Nothing is opened or asked here.

        Args:
            model: its name at the server.
            client: to the server, its base URL (usually ending in /v1) and key set. The caller's to close.
            num_ctx: tokens of prompt and answer together; None = ask the server, which may not say.
            dialect: see `openai_request`.
        """
        self._model = model
        self._client = client
        self._num_ctx = num_ctx
        self._dialect: Dialect = dialect
        self._window = PromptWindow(self.name, "num_ctx in [openai] of shoal.toml")

    @property
    def name(self) -> str:
        return f"openai:{self._model}"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask.

        Raises:
            RequestRefused: the server or its dialect cannot do this, or the account is empty.
            ContextOverflow: the prompt does not fit.
            ModelMissing: the server has no such model.
            EngineDown: nobody answers, or the server fails before its answer.
            Overloaded: the server limits the rate.
            StreamBroken: the answer stopped before its end.
            ConfigError: the key is refused, or the address redirects.
            LocalOnlyError: the server is on another machine.
        """
        body = encode_request(self._model, request, self._dialect)
        self._window.check_fits(request, self._num_ctx)
        answer = OpenAIAnswer(self._server)
        try:
            async with self._client.stream("POST", "chat/completions", json=body) as reply:
                if not reply.is_success:
                    raise from_status(reply.status_code, await reply.aread(), reply.headers, self._server)
                async for data in read_events(reply.aiter_bytes()):
                    delta = answer.add(data)
                    if delta is not None:
                        yield delta
        except httpx.RequestError as error:
            raise from_transport(error, self._server) from error
        response = answer.finish()
        self._check_was_read(request, response)
        yield response

    async def describe(self) -> ModelInfo:
        """Look the model up in the server's list. A lone llama-server answers to any name.

        Raises:
            ModelMissing: it is not in the list.
            EngineDown: nobody answers, or the answer is no list of models.
            StreamBroken: the connection was lost.
            ConfigError: the key is refused, or the address redirects.
            LocalOnlyError: the server is on another machine.
        """
        try:
            reply = await self._client.get("models")
        except httpx.RequestError as error:
            raise from_transport(error, self._server) from error
        if not reply.is_success:
            raise from_status(reply.status_code, reply.content, reply.headers, self._server)
        card = self._find(_parse_models(reply.content, self._server))
        return ModelInfo(
            name=self.name,
            num_ctx=self._num_ctx or card.max_model_len,
            remote=not _is_this_machine(self._client.base_url.host),
            capabilities=frozenset(
                {"schema", "logprobs"} if DIALECTS[self._dialect].logprobs else {"schema"}
            ),
        )

    async def count_tokens(self, request: ChatRequest) -> int | None:  # noqa: ARG002
        """None: the API has no call for it."""
        return None

    async def aclose(self) -> None:
        """Nothing to give back: the client belongs to whoever made it."""

    @property
    def _server(self) -> Server:
        return Server(name=self.name, url=str(self._client.base_url).rstrip("/"))

    def _find(self, cards: tuple[ModelCard, ...]) -> ModelCard:
        for card in cards:
            if card.id == self._model or card.owned_by == "llamacpp":
                return card
        raise ModelMissing(
            f'{self._server.url} has no model "{self._model}"',
            why=f"it has: {', '.join(card.id for card in cards) or 'none'}",
            mend="correct the name in shoal.toml, or start the server with that model",
        )

    def _check_was_read(self, request: ChatRequest, response: ChatResponse) -> None:
        """LM Studio answers 200 to a prompt that did not fit; the usage gives it away.

        https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/2339
        """
        tokens = response.usage.input_tokens
        self._window.check_read(request, tokens, self._num_ctx)
        if self._num_ctx is not None and tokens is not None and tokens > self._num_ctx:
            raise ContextOverflow(
                f"the prompt does not fit {self.name}",
                why=f"it has {tokens} tokens and num_ctx is {self._num_ctx}, yet the server answered",
                mend="shorten the prompt, or correct num_ctx in [openai] of shoal.toml",
            )


def _parse_models(body: bytes, server: Server) -> tuple[ModelCard, ...]:
    try:
        return ModelList.model_validate_json(body).data
    except ValidationError as error:
        raise EngineDown(
            f"what answers at {server.url} does not speak OpenAI's API",
            why=repr(body[:200]),
            mend="correct url in [openai] of shoal.toml; it usually ends in /v1",
        ) from error


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
