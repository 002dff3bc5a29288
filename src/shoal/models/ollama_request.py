"""A `ChatRequest` as the body of `/api/chat`: all of it, explicitly, or a refusal."""

import json
from typing import Any

from shoal.core.chat import ChatRequest
from shoal.core.errors import RequestRefused
from shoal.core.verbatim import list_verbatim
from shoal.models.ollama_info import OllamaInfo

__all__ = ["encode_request"]

NEUTRAL = {"typical_p": 1.0, "repeat_last_n": 64, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""Options that Shoal has no word for, at values that change nothing. Sent all the same, or the defaults of
the server or of the Modelfile would hold. No keep_alive: it sets who is evicted first, and a request that
carries one to a model on its way out stops the whole scheduler (https://github.com/ollama/ollama/issues/17408)."""


def encode_request(model: str, request: ChatRequest, info: OllamaInfo) -> bytes:
    """The request as JSON.

    Raises:
        RequestRefused: no messages, no room for an answer, an adapter, or text that is not Unicode.
    """
    _check(request)
    sampling = request.sampling
    options: dict[str, Any] = {
        "num_ctx": info.num_ctx,
        "num_predict": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "seed": sampling.seed,
        **NEUTRAL,
    }
    if request.stop:
        options["stop"] = [*info.stops, *request.stop]  # alone they would replace the model's own
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        "truncate": False,  # an error in place of a prompt cut in silence
        "shift": False,  # an end in place of a context that forgets its start
        "think": False,  # unset means yes, and a model that thinks begins without the schema
        "options": options,
    }
    if request.schema is not None:
        body["format"] = list_verbatim(request.schema, request.input)
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    try:
        return json.dumps(body, ensure_ascii=False, default=dict).encode()
    except UnicodeEncodeError as error:
        raise RequestRefused("the request holds half a character", why=str(error)) from error


def _check(request: ChatRequest) -> None:
    if not request.messages:
        raise RequestRefused("the request has no messages", why="Ollama would only load the model")
    if request.max_tokens < 1:
        raise RequestRefused(
            f"max_tokens is {request.max_tokens}",
            why="Ollama takes 0 and less for no limit at all",
            mend="set max_tokens to 1 or more",
        )
    if request.adapter is not None:
        raise RequestRefused(
            "Ollama cannot apply an adapter to one request",
            why=f"{request.adapter} would have to be a model of its own",
            mend="run the specialist with the embedded engine, or create a merged model in Ollama",
        )
