"""The embedded engine: llama.cpp in a child process of ours, no daemon and no account.

One `EmbeddedModel` is one base model; all agents on that base share it and differ in messages and in the
LoRA adapter a request names. Not here: retries, deadlines and queue bounds, which wrap this port.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from shoal.core.chat import ChatEvent, ChatRequest
from shoal.core.errors import RequestRefused, StreamBroken
from shoal.core.file_digest import hash_file
from shoal.core.port import ModelInfo
from shoal.models.embedded_answer import Answer
from shoal.models.embedded_labels import walk_labels
from shoal.models.embedded_process import EmbeddedProcess, EngineChild
from shoal.models.embedded_request import build_body, build_messages, build_next_token, build_place
from shoal.models.embedded_settings import EngineSettings, check_files
from shoal.models.embedded_slot import SlotTable
from shoal.models.embedded_wire import parse_chunk, parse_prompt, parse_tokens

__all__ = ["EmbeddedModel", "EngineSettings"]


class EmbeddedModel:
    """A GGUF on this machine, as `ChatModel`.

    Nothing runs until the first request; the weights then stay resident until `aclose`. At most
    `settings.slots` answers are computed at once, further requests wait inside the engine.
    """

    def __init__(self, name: str, settings: EngineSettings) -> None:
        self._name = name
        self._engine = _Engine(name, settings)
        self._labels: dict[str, tuple[int, ...]] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int | None:
        """Process id of the engine; None = not running."""
        return self._engine.process.pid

    @property
    def adapters(self) -> Mapping[str, Path]:
        """LoRA adapters (GGUF) that requests may ask for."""
        return self._engine.settings.adapters

    def serve(self, adapters: Mapping[str, Path]) -> None:
        """Let requests ask for these adapters too; those there are stay.

        llama.cpp takes adapters when it starts. One that runs gives the answers it has begun and ends; the
        next request starts another, and waits for the weights to be loaded again.
        """
        settings = self._engine.settings
        if not adapters.items() <= settings.adapters.items():
            more = replace(settings, adapters={**settings.adapters, **adapters})
            self._engine = _Engine(self._name, more)

    def file_bytes(self) -> int:
        """Size of the weights on disk.

        Raises:
            ModelMissing: there is no such file.
            StorageDamaged: it is no GGUF.
        """
        settings = self._engine.settings
        check_files(self._name, settings)
        return settings.gguf.stat().st_size

    async def load(self) -> None:
        """Start the engine now; otherwise the first request does. Returns when the model answers.

        Raises:
            EngineDown: the model cannot be loaded.
            ConfigError: the engine is not installed, or the model has no context of `num_ctx`.
            ModelMissing: the weights are not where they should be.
            StorageDamaged: the weights are no GGUF.
        """
        await self._engine.process.child()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """See `ChatModel.stream`. Cancelled by closing: the engine's slot is free within a batch.

        Raises:
            RequestRefused: the engine cannot do this: an adapter it was not started with, an invalid
                schema, no messages.
            ContextOverflow: the prompt does not fit; nothing was computed.
            EngineDown: the engine cannot be started.
            StreamBroken: the engine died, or stopped before the end of the answer.
            ConfigError: the engine is not installed.
            ModelMissing: the weights are not where they should be.
            StorageDamaged: the weights are no GGUF.
        """
        engine = self._engine
        scales = self._scales(request, engine.settings)
        began = time.perf_counter()
        child = await engine.process.child()
        answer = Answer(self._name, request, began=began, loaded=time.perf_counter())
        with engine.slots.lease(slot_key(request)) as slot:
            body = build_body(request) | build_place(slot, scales)
            async with aclosing(child.stream("/v1/chat/completions", body)) as lines:
                async for line in lines:
                    chunk = parse_chunk(self._name, line)
                    delta = None if chunk is None else answer.add(chunk)
                    if delta is not None:
                        yield delta
        yield answer.response(child.digest(request.adapter))

    async def describe(self) -> ModelInfo:
        """See `ChatModel.describe`. The first call reads the whole file for its digest.

        Raises:
            ModelMissing: the weights are not where they should be.
            StorageDamaged: the weights are no GGUF.
        """
        settings = self._engine.settings
        check_files(self._name, settings)
        adapters = {"adapters"} if settings.adapters else set[str]()
        return ModelInfo(
            name=self._name,
            digest=await asyncio.to_thread(hash_file, settings.gguf),
            num_ctx=settings.num_ctx,
            size_bytes=settings.gguf.stat().st_size,
            capabilities=frozenset({"logprobs", "schema", "labels"} | adapters),
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the prompt, exact: the engine's own template and tokenizer. Starts the engine.

        Raises:
            EngineDown: the engine cannot be started.
            RequestRefused: the model's template refuses the messages.
            StreamBroken: the engine died.
        """
        return len(await self._prompt_tokens(await self._engine.process.child(), request))

    async def score_labels(self, request: ChatRequest, labels: Sequence[str]) -> Mapping[str, float]:
        """See `LabelScorer.score_labels`; how, and what it costs, stands in `embedded_labels`.

        Of the request only the messages and the adapter count. Labels stand for whole answers.

        Raises:
            RequestRefused: there are no labels, an empty one, or two that are alike.
            ContextOverflow: the prompt does not fit; nothing was computed.
            EngineDown: the engine cannot be started.
            StreamBroken: the engine died.
        """
        if not labels or not all(labels) or len(set(labels)) < len(labels):
            raise RequestRefused(
                f"{self._name} cannot choose among {list(labels)}",
                why="labels must be there, not empty, and each of its own",
            )
        engine = self._engine
        scales = self._scales(request, engine.settings)
        child = await engine.process.child()
        prompt = await self._prompt_tokens(child, request)
        tokens = {label: await self._label_tokens(child, label) for label in labels}

        with engine.slots.lease(slot_key(request)) as slot:
            place = build_place(slot, scales)

            async def ask(
                prefix: tuple[int, ...], candidates: Sequence[int], *, among_all: bool
            ) -> Mapping[int, float]:
                body = build_next_token((*prompt, *prefix), candidates, among_all=among_all)
                return await self._read_chances(child, body | place)

            return await walk_labels(tokens, ask)

    async def aclose(self) -> None:
        """End the child process and give its memory back. Idempotent; a later request starts anew."""
        await self._engine.process.aclose()

    async def _prompt_tokens(self, child: EngineChild, request: ChatRequest) -> tuple[int, ...]:
        rendered = await child.post("/apply-template", {"messages": build_messages(request)})
        body = {"content": parse_prompt(rendered), "add_special": True, "parse_special": True}
        return parse_tokens(await child.post("/tokenize", body))

    async def _label_tokens(self, child: EngineChild, label: str) -> tuple[int, ...]:
        if label not in self._labels:
            self._labels[label] = parse_tokens(await child.post("/tokenize", {"content": label}))
        return self._labels[label]

    async def _read_chances(self, child: EngineChild, body: Mapping[str, object]) -> Mapping[int, float]:
        chances: dict[int, float] = {}
        async with aclosing(child.stream("/completion", body)) as lines:
            async for line in lines:
                if (chunk := parse_chunk(self._name, line)) is not None:
                    chances |= chunk.chances
        if not chances:
            raise StreamBroken(f"{self._name} stopped before it had scored a label")
        return chances

    def _scales(self, request: ChatRequest, settings: EngineSettings) -> list[float]:
        adapters = settings.adapters
        if request.adapter is not None and request.adapter not in adapters:
            raise RequestRefused(
                f'{self._name} was not started with the adapter "{request.adapter}"',
                why=f"known: {', '.join(sorted(adapters)) or 'none'}",
                mend="name it in the model's adapters when the engine is built",
            )
        if not request.messages:
            raise RequestRefused(f"{self._name} was asked nothing", why="the request has no messages")
        return [1.0 if adapter == request.adapter else 0.0 for adapter in adapters]


class _Engine:
    """One way to start the child process. A stream keeps to the one it began with."""

    def __init__(self, name: str, settings: EngineSettings) -> None:
        self.settings = settings
        self.process = EmbeddedProcess(name, settings)
        self.slots = SlotTable(settings.total_slots if settings.adapters else 0, at_once=settings.slots)


def slot_key(request: ChatRequest) -> Hashable:
    """What makes two requests want the same slot: their adapter, or else how their prompt begins."""
    return request.adapter or request.messages[0]
