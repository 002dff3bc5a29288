"""A fitted router on disk: JSON for what people read, npz (never pickle) for arrays.

The folder holds `router.json`, `arrays.npz` and `examples.jsonl`. The first carries the format's version, the
embedder's id and the digests of the two others, so that a foreign or damaged folder is refused.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shoal.core.errors import ConfigError, StorageDamaged, StorageError
from shoal.router.calibration import Calibration
from shoal.router.example import Example, load_examples
from shoal.router.head import LinearHead
from shoal.router.report import FitReport

__all__ = ["SavedRouter", "load_router", "save_router"]

FORMAT = "shoal-router"
VERSION = 2
MANIFEST, ARRAYS, EXAMPLES = "router.json", "arrays.npz", "examples.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRouter:
    """All there is to a router, apart from its embedder."""

    embedder_id: str
    agents: tuple[str, ...]
    head: LinearHead
    calibration: Calibration | None
    threshold: float
    examples: tuple[Example, ...]
    vectors: NDArray[np.float32]
    """(examples, dimension)."""
    report: FitReport


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str
    version: int
    embedder: str
    agents: tuple[str, ...]
    threshold: float
    report: FitReport
    sha256: dict[str, str]


def save_router(router: SavedRouter, folder: Path) -> None:
    """Write the folder; the manifest goes last, so that half a router never reads as a whole one.

    Raises:
        StorageError: the folder cannot be written.
    """
    arrays = {"weights": router.head.weights, "bias": router.head.bias, "vectors": router.vectors}
    if router.calibration:
        arrays |= {"scores": router.calibration.scores, "probabilities": router.calibration.probabilities}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    rows = [json.dumps({"text": e.text, "label": e.agent}, ensure_ascii=False) for e in router.examples]
    contents = {ARRAYS: buffer.getvalue(), EXAMPLES: "".join(f"{row}\n" for row in rows).encode()}
    manifest = _Manifest(
        format=FORMAT,
        version=VERSION,
        embedder=router.embedder_id,
        agents=router.agents,
        threshold=router.threshold,
        report=router.report,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    contents[MANIFEST] = manifest.model_dump_json(indent=1).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name, content in contents.items():
            _ = (folder / name).write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write the router to {folder}", why=str(error)) from error


def load_router(folder: Path, *, embedder_id: str) -> SavedRouter:
    """Read the folder back.

    Raises:
        StorageDamaged: not a router, damaged, of another version, or made with another embedder.
    """
    manifest = _load_manifest(folder)
    if manifest.embedder != embedder_id:
        raise _damaged(folder, f"it was fitted with {manifest.embedder}, this is {embedder_id}")
    try:
        for name, digest in manifest.sha256.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise _damaged(folder, f"{name} is not what was written")
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            read = {name: np.asarray(arrays[name]) for name in arrays.files}
        examples = load_examples(folder / EXAMPLES)
        return SavedRouter(
            embedder_id=embedder_id,
            agents=manifest.agents,
            head=LinearHead(read["weights"], read["bias"]),
            calibration=Calibration(read["scores"], read["probabilities"]) if "scores" in read else None,
            threshold=manifest.threshold,
            examples=examples,
            vectors=read["vectors"],
            report=manifest.report,
        )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, ConfigError) as error:
        raise _damaged(folder, str(error)) from error


def _load_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        raw = TypeAdapter(dict[str, object]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder, f"{MANIFEST} cannot be read") from error
    if raw.get("format") != FORMAT or raw.get("version") != VERSION:
        raise _damaged(folder, f"it is {raw.get('format')} {raw.get('version')}, not {FORMAT} {VERSION}")
    try:
        return _Manifest.model_validate(raw)
    except ValidationError as error:
        raise _damaged(folder, f"{MANIFEST} is not what was written") from error


def _damaged(folder: Path, why: str) -> StorageDamaged:
    return StorageDamaged(
        f"{folder} does not hold a router this version can use",
        why=why,
        mend=f"fit it anew: shoal router fit EXAMPLES --out {folder}",
    )
