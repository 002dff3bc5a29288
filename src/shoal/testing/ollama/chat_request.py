"""Reads the body of `/api/chat` as the server does, with its refusals."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from shoal.core.chat import Message
from shoal.testing.ollama.model import FakeModel, Seen, split_tokens
from shoal.testing.ollama.scheduler import Refusal
from shoal.testing.ollama.schema import TYPES

__all__ = ["ChatBody", "ChatCall", "check_call", "fit"]

DEFAULT_NUM_CTX = 4096
LOAD_TIME = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
"""Options whose change reloads the model."""
INTEGERS = {*LOAD_TIME, "num_keep", "seed", "num_predict", "top_k", "repeat_last_n"} - {"use_mmap"}
FLOATS = {
    *("temperature", "top_p", "min_p", "typical_p"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
}
KEPT = 4
"""Tokens of the beginning that survive when the middle of a prompt is cut."""
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class _Turn(BaseModel):
    role: str
    content: str = ""


class ChatBody(BaseModel):
    """What a client sends; unknown fields and unknown options are ignored, as by the server."""

    model: str = ""
    messages: tuple[_Turn, ...] = ()
    options: dict[str, Any] = {}
    format: Any = None
    truncate: bool = True
    shift: bool = True
    think: bool | str | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    tools: tuple[Any, ...] = ()
    keep_alive: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A request to a model that is there."""

    body: ChatBody
    model: FakeModel

    @property
    def messages(self) -> tuple[Message, ...]:
        """As the model's template lets them through."""
        told = [Message(cast("Any", each.role), each.content) for each in self.body.messages]
        if not (".Messages" in self.model.template or ".System" in self.model.template):
            return tuple(message for message in told if message.role != "system")
        if self.model.system and not any(message.role == "system" for message in told):
            told.insert(0, Message("system", self.model.system))
        return tuple(told)

    @property
    def load_options(self) -> object:
        return tuple(self.body.options.get(name) for name in LOAD_TIME)

    @property
    def num_ctx(self) -> int:
        return min(self.body.options.get("num_ctx", DEFAULT_NUM_CTX), self.model.trained_context)

    @property
    def stops(self) -> Sequence[str]:
        return self.body.options.get("stop", self.model.stops)

    @property
    def thinks(self) -> bool:
        """A model that can think does so unless told not to."""
        return "thinking" in self.model.capabilities and self.body.think is not False

    @property
    def keep_alive_s(self) -> float | None:
        """None = nothing was said."""
        value = self.body.keep_alive
        if isinstance(value, str):
            parts = re.findall(r"(-?[\d.]+)(h|ms|us|ns|m|s)?", value)
            value = sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
        return math.inf if value is not None and value < 0 else value


def check_call(call: ChatCall) -> None:
    """Refuse what can be refused before a load.

    Raises:
        Refusal: with the server's status and words, 500 for an option of the wrong type included.
    """
    body, capabilities = call.body, call.model.capabilities
    if not 0 <= body.top_logprobs <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    if body.tools and "tools" not in capabilities:
        raise Refusal(400, f"registry.ollama.ai/library/{call.model.key} does not support tools")
    if body.think and "thinking" not in capabilities:
        raise Refusal(400, f'"{body.model}" does not support thinking')
    if "completion" not in capabilities:
        raise Refusal(400, f'"{body.model}" does not support chat')
    for name, value in body.options.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in INTEGERS and not is_number:
            raise Refusal(500, f'option "{name}" must be of type integer')
        if name in FLOATS and not is_number:
            raise Refusal(500, f'option "{name}" must be of type float32')
        if name == "stop" and not isinstance(value, list):
            raise Refusal(500, f'option "{name}" must be of type array')


def fit(call: ChatCall) -> tuple[Seen, Sequence[str]]:
    """What the model sees, and the prompt's tokens.

    Unless `truncate` is false a prompt that is too long loses its oldest messages (never those of the
    system) and then its middle, without a word to the client.

    Raises:
        Refusal: 400, the prompt is too long and must not be cut; 500, the format is none.
    """
    schema, asked, num_ctx = _parse_format(call.body.format), call.messages, call.num_ctx
    messages, prompt = asked, _render(asked)
    if len(prompt) > num_ctx and not call.body.truncate:
        raise Refusal(400, "the input length exceeds the context length")
    for first in range(1, len(asked)):
        if len(prompt) <= num_ctx:
            break
        system = (each for each in asked[:first] if each.role == "system")
        messages = (*system, *asked[first:])
        prompt = _render(messages)
    if len(prompt) > num_ctx:
        prompt = [*prompt[:KEPT], *prompt[len(prompt) - num_ctx + KEPT :]]
        messages = (Message(messages[-1].role, "".join(prompt[1:-2])),)
    return Seen(messages=messages, schema=schema, options=call.body.options), prompt


def _render(messages: Sequence[Message]) -> list[str]:
    turns = ([f"<|{each.role}|>", *split_tokens(each.content), "<|end|>"] for each in messages)
    return [*(token for turn in turns for token in turn), "<|assistant|>"]


def _parse_format(format_: Any) -> Mapping[str, Any] | None:
    match format_:
        case None | "":
            return None
        case "json":
            return {"type": "object"}
        case dict():
            schema = cast("Mapping[str, Any]", format_)
            if _has_known_types(schema):
                return schema
            raise Refusal(500, "invalid JSON schema in format")
        case _:
            quoted = f'\\"{format_}\\"'
            raise Refusal(500, f'invalid format: "{quoted}"; expected "json" or a valid JSON Schema object')


def _has_known_types(schema: Mapping[str, Any]) -> bool:
    properties: Mapping[str, Any] = schema.get("properties", {})
    kind = schema.get("type", "object")
    return (not isinstance(kind, str) or kind in TYPES) and all(map(_has_known_types, properties.values()))
