"""The endpoints around the models: list, show, ps, pull, create, delete, blobs, embed."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, final

from pydantic import BaseModel

from shoal.testing.ollama.line import LineWriter
from shoal.testing.ollama.model import FakeModel, tagged
from shoal.testing.ollama.scheduler import Clock, Refusal, Scheduler

__all__ = ["CreateBody", "EmbedBody", "Library", "NameBody"]

PULL_STEPS = 10
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
EMBEDDING_LENGTH = 576
DEFAULT_TEMPLATE = "{{ .Prompt }}"
"""Where the file has none that is known."""
KNOWN_MARK = b"<|im_start|>"


class NameBody(BaseModel):
    model: str = ""


class CreateBody(NameBody):
    files: dict[str, str] = {}
    adapters: dict[str, str] = {}
    template: str | None = None
    system: str | None = None


class EmbedBody(NameBody):
    input: str | list[str] = ""


@final
class Library:
    """The models a server has, and those it could pull."""

    def __init__(
        self, models: Iterable[FakeModel], pullable: Iterable[FakeModel], scheduler: Scheduler, clock: Clock
    ) -> None:
        self.models = {model.key: model for model in models}
        self.pullable = {model.key: model for model in pullable}
        self.blobs: dict[str, int] = {}
        """Sizes of what was uploaded, by digest ("sha256:...")."""
        self.known_templates: set[str] = set()
        """Of the blobs, those with a chat template that the server knows."""
        self._scheduler = scheduler
        self._clock = clock
        self._changed = datetime.now(UTC)

    def find(self, name: str) -> FakeModel:
        """The model of this name.

        Raises:
            Refusal: 400 without a name, 401 for a cloud model without an account, else 404.
        """
        if not name:
            raise Refusal(400, "model is required")
        model = self.models.get(tagged(name))
        if model is None and tagged(name).endswith(("-cloud", ":cloud")):
            raise Refusal(401, "unauthorized")
        if model is None:
            raise Refusal(404, f"model '{name}' not found")
        return model

    def tags(self) -> dict[str, Any]:
        return {"models": [self._entry(model) for model in self.models.values()]}

    def ps(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "models": [
                _named(runner.model)
                | {
                    "size": runner.model.size_bytes * 2,
                    "size_vram": runner.model.vram_bytes,
                    "expires_at": (now + timedelta(seconds=min(runner.keep_alive_s, 1e9))).isoformat(),
                    "context_length": runner.num_ctx,
                }
                for runner in self._scheduler.loaded.values()
            ]
        }

    def show(self, name: str) -> dict[str, Any]:
        model = self.find(name)
        stops = "\n".join(f'{"stop":30} "{stop}"' for stop in model.stops)
        reply: dict[str, Any] = {
            "modelfile": f"FROM {model.name}",
            "parameters": stops,
            "template": model.template,
            "details": DETAILS,
            "model_info": {
                "general.architecture": "llama",
                "llama.context_length": model.trained_context,
                "llama.embedding_length": EMBEDDING_LENGTH,
            },
            "capabilities": model.capabilities,
            "modified_at": self._changed.isoformat(),
        }
        if model.remote_host:
            reply |= {"remote_model": model.name, "remote_host": model.remote_host}
        return reply

    async def delete(self, name: str) -> None:
        model = self.find(name)
        await self._scheduler.expire(model.key)
        del self.models[model.key]

    async def pull(self, name: str, lines: LineWriter) -> None:
        """Send the progress of a download, or a line with an error: the status is 200 all the same."""
        await lines.send({"status": "pulling manifest"})
        model = self.pullable.get(tagged(name))
        if model is None:
            await lines.send({"error": "pull model manifest: file does not exist"}, last=True)
            return
        layer = {"status": f"pulling {model.digest[:12]}", "digest": f"sha256:{model.digest}"}
        layer |= {"total": model.size_bytes}
        await lines.send(layer)
        for step in range(1, PULL_STEPS + 1):
            await self._clock.spend(model.pull_s / PULL_STEPS)
            await lines.send(layer | {"completed": model.size_bytes * step // PULL_STEPS})
        self.models[model.key] = model
        for status in ("verifying sha256 digest", "writing manifest"):
            await lines.send({"status": status})
        await lines.send({"status": "success"}, last=True)

    async def create(self, body: CreateBody, lines: LineWriter) -> None:
        """Make a model of uploaded files, or of another model."""
        await lines.send({"status": "parsing GGUF"})
        digests = [*body.files.values(), *body.adapters.values()]
        missing = next((digest for digest in digests if digest not in self.blobs), None)
        if missing is not None:
            path = missing.replace(":", "-")
            await lines.send({"error": f"open blobs/{path}: no such file or directory"}, last=True)
            return
        size = sum(self.blobs[digest] for digest in digests)
        known = self.known_templates.issuperset(body.files.values())
        template = body.template or (FakeModel(name="").template if known else DEFAULT_TEMPLATE)
        model = FakeModel(
            name=body.model,
            size_bytes=size,
            weights="".join(digests),
            template=template,
            system=body.system or "",
        )
        self.models[model.key] = model
        for digest in digests:
            await lines.send({"status": f"using existing layer {digest}"})
        if known:
            await lines.send({"status": "using autodetected template chatml"})
        await lines.send({"status": "writing manifest"})
        await lines.send({"status": "success"}, last=True)

    def has_blob(self, digest: str) -> bool:
        return digest in self.blobs

    def add_blob(self, digest: str, content: bytes) -> None:
        """Keep an upload.

        Raises:
            Refusal: the content is not what its digest says.
        """
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if found != digest:
            raise Refusal(400, f'digest mismatch, expected "{digest}", got "{found}"')
        self.blobs[digest] = len(content)
        if KNOWN_MARK in content:
            self.known_templates.add(digest)

    def embed(self, body: EmbedBody) -> dict[str, Any]:
        """Vectors, from a chat model too, as the real server gives them: of no use."""
        _ = self.find(body.model)
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors = [[len(text) / 1000.0] * EMBEDDING_LENGTH for text in texts]
        return {"model": body.model, "embeddings": vectors, "prompt_eval_count": len(texts)}

    def _entry(self, model: FakeModel) -> dict[str, Any]:
        entry = _named(model) | {"size": model.size_bytes, "modified_at": self._changed.isoformat()}
        if model.remote_host:
            entry |= {"remote_model": model.name, "remote_host": model.remote_host}
        return entry


def _named(model: FakeModel) -> dict[str, Any]:
    return {"name": model.key, "model": model.key, "digest": model.digest, "details": DETAILS}
