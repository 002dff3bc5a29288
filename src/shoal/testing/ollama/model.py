"""A model of the fake server: what it says, how large it is and how long it takes."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.core.chat import Message, TokenLogprob
from shoal.testing.ollama.schema import example_of

__all__ = ["FakeAnswer", "FakeModel", "Responder", "Seen", "default_reply", "split_tokens", "tagged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the model gets to see of a request, after the server has cut it."""

    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    text: str = ""
    tokens: tuple[TokenLogprob, ...] = ()
    """In place of `text`, to say each token with its logprob and alternatives."""
    thinking: str = ""
    """Streamed before the text by a model that has "thinking" among its capabilities and is let to."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """Sent on the last line, as when the server took the text for a tool call."""


Responder = Callable[[Seen], str | FakeAnswer]


def default_reply(seen: Seen) -> str:
    """The first thing the schema allows, or the last message again."""
    if seen.schema is not None:
        return json.dumps(example_of(seen.schema))
    return f"You said: {seen.messages[-1].content}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeModel:
    """Times are those of SmolLM2-135M on two cores, in seconds of the server's clock."""

    name: str
    reply: Responder | str = default_reply
    """What it says: a function of what it sees, or always the same text."""
    capabilities: tuple[str, ...] = ("completion",)
    """Of "completion", "thinking", "tools", "embedding", "vision"."""
    trained_context: int = 8192
    """Tokens; a larger num_ctx is cut down to it."""
    size_bytes: int = 98_363_007
    stops: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
    """The Modelfile's stop sequences; a request's `stop` replaces them."""
    remote_host: str = ""
    """Not empty: the server only passes requests on to it."""
    load_s: float = 0.42
    prepare_s: float = 0.031
    """What a request to a resident model takes before its prompt is looked at."""
    prefill_s: float = 0.0035
    """A prompt token that is not in the prefix cache."""
    token_s: float = 0.011
    """A generated token."""
    pull_s: float = 10.0
    """To download it."""
    vram_bytes: int = 0
    """Of twice `size_bytes`, what a load puts on a GPU."""
    template: str = "{{ range .Messages }}{{ .Content }}{{ end }}"
    """One without `.Messages` and `.System` drops the system prompt, as the real server does."""
    system: str = ""
    """Where a request has none."""
    weights: str = ""
    """Content the digest is made of; the name when empty. Change it to replace the model under its name."""
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        content = f"{self.weights or self.name}{self.stops}".encode()
        object.__setattr__(self, "digest", hashlib.sha256(content).hexdigest())

    @property
    def key(self) -> str:
        """The name as the server files it: in lower case, with its tag."""
        return tagged(self.name)

    def answer(self, seen: Seen) -> FakeAnswer:
        said = self.reply if isinstance(self.reply, str) else self.reply(seen)
        return FakeAnswer(text=said) if isinstance(said, str) else said


def tagged(name: str) -> str:
    whole = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return whole.casefold()


def split_tokens(text: str) -> list[str]:
    """Tokens: words with the space before them, and signs one by one. Joined they are the text."""
    return re.findall(r" ?\w+|\s+|[^\w\s]", text)
