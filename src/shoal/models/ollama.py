"""Chat with a model behind Ollama's native `/api/chat`.

Not the model lifecycle (pull, push, remove: `ollama_library`), not a retry, queue or deadline: those wrap
any `ChatModel`. The OpenAI-compatible endpoint of Ollama is not used, because it ignores num_ctx and hence
cuts prompts without a word; nor is the `ollama` package, which cannot send `truncate` and `shift`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import final

import httpx

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.errors import EngineDown, LocalOnlyError, ModelMissing
from shoal.core.port import ModelInfo
from shoal.models.ollama_answer import OllamaAnswer
from shoal.models.ollama_error import from_status, from_transport
from shoal.models.ollama_info import OllamaInfo, load_info
from shoal.models.ollama_request import encode_request
from shoal.models.ollama_wire import LineReader
from shoal.models.window import PromptWindow

__all__ = ["OllamaModel"]


@final
class OllamaModel:
    """One model of one Ollama server."""

    def __init__(
        self, model: str, client: httpx.AsyncClient, *, num_ctx: int | None = None, local_only: bool = True
    ) -> None:
        """Nothing is opened or asked here.

        Args:
            model: its name without the engine, e.g. "gemma3:1b".
            client: to the server, its base_url set. Stays the caller's to close.
            num_ctx: tokens of prompt and answer together; None = `DEFAULT_CONTEXT`, or what the model was
                trained on when that is less. Give every user of one base model the same: Ollama reloads the
                weights whenever it changes.
            local_only: refuse a model that the server itself runs on another machine.
        """
        self._model = model
        self._client = client
        self._num_ctx = num_ctx
        self._local_only = local_only
        self._info: OllamaInfo | None = None
        self._asking = asyncio.Lock()
        self._window = PromptWindow(self.name, "num_ctx in [ollama] of shoal.toml")

    @property
    def name(self) -> str:
        return f"ollama:{self._model}"

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """Ask. The first call also asks the server about itself and the model.

        Raises:
            RequestRefused: Ollama or this adapter cannot do what the request says.
            ContextOverflow: the prompt does not fit; nothing was cut.
            ModelMissing: the model is not pulled.
            EngineDown: nobody answers, or the model cannot be loaded.
            Overloaded: too many requests wait for a model to be loaded.
            StreamBroken: the answer stopped before its end.
            OutputInvalid: the model wrote tool calls or thoughts in place of an answer.
            LocalOnlyError: Ollama would send the request on to another machine.
            ConfigError: the server is too old, or num_ctx is larger than the model's own.
        """
        try:
            info = await self._load_info()
            self._check_stays_here(info.model)
            self._window.check_fits(request, info.num_ctx)
            answer = OllamaAnswer(info)
            body = encode_request(self._model, request, info)
            async with self._client.stream("POST", "/api/chat", content=body) as reply:
                if not reply.is_success:
                    refusal = await reply.aread()
                    error = from_status(reply.status_code, refusal, model=self._model, url=self._url)
                    raise self._window.numbered(error, request, info.num_ctx)
                lines = LineReader()
                async for chunk in reply.aiter_bytes():
                    for line in lines.feed(chunk):
                        delta = answer.add(line)
                        if delta.text or delta.tokens:
                            yield delta
        except httpx.HTTPError as error:
            self._info = None
            raise from_transport(error, url=self._url) from error
        except (ModelMissing, EngineDown):
            self._info = None  # the server may come back with other models
            raise
        response = answer.finish()
        self._window.check_read(request, response.usage.input_tokens, info.num_ctx)
        yield response

    async def describe(self) -> ModelInfo:
        """Ask the server anew, loading nothing. The digest covers weights, template and parameters.

        Raises:
            ModelMissing: the model is not pulled.
            EngineDown: nobody answers, or something that is not Ollama.
            StreamBroken: the connection was lost.
            ConfigError: the server is too old, or num_ctx is larger than the model's own.
        """
        self._info = None
        try:
            # Not shared with others who ask: what they are being told may be older than this call.
            info = self._info = await load_info(self._client, self._model, num_ctx=self._num_ctx)
        except httpx.HTTPError as error:
            raise from_transport(error, url=self._url) from error
        return info.model

    async def count_tokens(self, request: ChatRequest) -> int | None:  # noqa: ARG002
        """None: Ollama has no tokenizer to ask. What certainly does not fit is refused all the same."""
        return None

    async def aclose(self) -> None:
        """Nothing to give back: the client belongs to whoever made it."""

    @property
    def _url(self) -> str:
        return str(self._client.base_url)

    async def _load_info(self) -> OllamaInfo:
        async with self._asking:
            if self._info is None:
                self._info = await load_info(self._client, self._model, num_ctx=self._num_ctx)
            return self._info

    def _check_stays_here(self, info: ModelInfo) -> None:
        if info.remote and self._local_only:
            raise LocalOnlyError(
                f"{self.name} does not run on this machine",
                why="Ollama sends its requests to another host, and local_only forbids that",
                mend="choose a model that runs here, or local_only = false in [network] of shoal.toml",
            )
