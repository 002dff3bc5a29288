"""How a GGUF file gets to an Ollama: its content, and proof that what became of it reads system prompts."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from pydantic import BaseModel, ValidationError

from shoal.core.errors import RequestRefused
from shoal.models.ollama_error import from_status

__all__ = ["blob_path", "check_system_is_read", "hash_gguf", "name_for", "upload"]

CHUNK_BYTES = 1 << 20
WORDS = 64
"""Of the system prompt that is counted. Each is at least a token."""
SHARE = 0.5
"""Of its words that have to be seen in the server's count."""


class _Counted(BaseModel):
    prompt_eval_count: int = 0


def name_for(gguf: Path) -> str:
    """What Ollama may call the file: its name in lower case, with "-" for what Ollama does not allow."""
    kept = (char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in gguf.stem)
    return "".join(kept).strip("._-").lower() or "model"


def hash_gguf(gguf: Path) -> str:
    with gguf.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def blob_path(digest: str) -> str:
    """Where a server keeps content, or says that it does not have it."""
    return f"/api/blobs/{digest}"


async def upload(client: httpx.AsyncClient, gguf: Path, digest: str, *, url: str) -> None:
    """Send the content.

    Raises:
        OSError: the file cannot be read.
        httpx.HTTPError: nobody answers.
        ModelError: the server does not want it.
    """
    reply = await client.post(blob_path(digest), content=_read(gguf))
    if not reply.is_success:
        raise from_status(reply.status_code, reply.content, model=gguf.name, url=url)


async def check_system_is_read(client: httpx.AsyncClient, model: str, *, num_ctx: int, url: str) -> None:
    """Ask with a short and with a long system prompt: the server's count of tokens must show it.

    Loads the model, with `num_ctx`.

    Raises:
        RequestRefused: it does not.
        httpx.HTTPError: nobody answers.
        ModelError: the server refuses.
    """
    short, long = [
        await _count(client, model, system, num_ctx=num_ctx, url=url) for system in ("Go.", "Go on. " * WORDS)
    ]
    if long - short < WORDS * SHARE:
        raise RequestRefused(
            f"{model} in Ollama does not read its system prompt",
            why=f"{WORDS} words more in it made {long - short} tokens more",
            mend="give the model a template that has {{ .System }} or {{ .Messages }}",
        )


async def _count(client: httpx.AsyncClient, model: str, system: str, *, num_ctx: int, url: str) -> int:
    body = {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": "Hello."}],
        "options": {"num_ctx": num_ctx, "num_predict": 1},
    }
    reply = await client.post("/api/chat", json=body)
    if not reply.is_success:
        raise from_status(reply.status_code, reply.content, model=model, url=url)
    try:
        return _Counted.model_validate_json(reply.content.splitlines()[-1]).prompt_eval_count
    except (ValidationError, IndexError) as error:
        raise RequestRefused(f"{model} in Ollama cannot be asked", why=str(error)) from error


async def _read(gguf: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(gguf.open, "rb")
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
