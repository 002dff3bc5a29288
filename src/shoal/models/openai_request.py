"""A chat request as the body of `POST /chat/completions`, in one of three dialects.

Servers call one API by one name and differ in what they accept. Which dialect a server speaks is set, not
guessed from names of models or learnt from failures.

    local      vLLM, llama-server, LM Studio   max_tokens, every sampling option, logprobs
    openai     the cloud API                   max_completion_tokens, temperature, top_p, seed, logprobs
    reasoning  its reasoning models            max_completion_tokens, no sampling, no logprobs
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from shoal.core.chat import ChatRequest, Sampling
from shoal.core.errors import RequestRefused
from shoal.core.verbatim import plain_verbatim

__all__ = ["DIALECTS", "Dialect", "encode_request"]

Dialect = Literal["local", "openai", "reasoning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    max_tokens: str
    """What the limit of the answer is called."""
    sampling: Mapping[str, Sequence[str]]
    """What each option of `Sampling` is called; one that is missing cannot be sent."""
    logprobs: bool


_PLAIN = {"temperature": ["temperature"], "top_p": ["top_p"], "seed": ["seed"]}
DIALECTS: Mapping[Dialect, _Fields] = {
    "local": _Fields(
        max_tokens="max_tokens",
        sampling=_PLAIN
        | {
            "top_k": ["top_k"],
            "min_p": ["min_p"],
            "repeat_penalty": ["repeat_penalty", "repetition_penalty"],  # llama-server's name, vLLM's name
        },
        logprobs=True,
    ),
    "openai": _Fields(max_tokens="max_completion_tokens", sampling=_PLAIN, logprobs=True),
    "reasoning": _Fields(max_tokens="max_completion_tokens", sampling={}, logprobs=False),
}


def encode_request(model: str, request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """The body. An option that the dialect lacks is left to the server while it has its default value.

    Raises:
        RequestRefused: the dialect lacks an option that is set to another value, or an adapter is asked for.
    """
    speaks = DIALECTS[dialect]
    if request.adapter is not None:
        raise RequestRefused(
            f"openai:{model} cannot apply the adapter {request.adapter}",
            why="servers of this API serve an adapter as a model with a name of its own",
            mend='name that model, e.g. model="openai:my-adapter"',
        )
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        speaks.max_tokens: request.max_tokens,
    }
    body |= _encode_sampling(model, request.sampling, dialect)
    if request.stop:
        body["stop"] = list(request.stop)
    if request.top_logprobs is not None and speaks.logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.schema is not None:
        schema = {
            "name": "answer",
            "schema": plain_verbatim(request.schema),  # a word it does not know is an error in strict mode
            "strict": _is_closed(request.schema),
        }
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _encode_sampling(model: str, sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    names, default = DIALECTS[dialect].sampling, Sampling()
    body: dict[str, Any] = {}
    for option in (field.name for field in fields(Sampling)):
        value = getattr(sampling, option)
        if option in names:
            body |= dict.fromkeys(names[option], value)
        elif value != getattr(default, option):
            raise RequestRefused(
                f"openai:{model} cannot be asked with {option} = {value}",
                why=f'the dialect "{dialect}" has no such option',
                mend=f"leave {option} at {getattr(default, option)}, "
                'or set dialect = "local" in [openai] of shoal.toml if the server has it',
            )
    return body


def _is_closed(schema: object) -> bool:
    """Whether strict mode takes it: every object names all its properties, requires them and no others."""
    if isinstance(schema, Mapping):
        node = cast("Mapping[str, object]", schema)
        if node.get("type") == "object":
            properties, required = node.get("properties"), node.get("required")
            if not isinstance(properties, Mapping) or not isinstance(required, list):
                return False
            names = cast("Mapping[str, object]", properties)
            if node.get("additionalProperties") is not False or set(names) != set(
                cast("list[str]", required)
            ):
                return False
        return all(_is_closed(child) for child in node.values())
    if isinstance(schema, list):
        return all(_is_closed(child) for child in cast("list[object]", schema))
    return True
