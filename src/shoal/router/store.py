"""A fitted router on disk: JSON for what people read, npz (never pickle) for arrays.

The folder holds `router.json`, `arrays.npz`, `examples.jsonl` and, after fine-tuning, `encoder.npz`. The
first carries the format's version, the encoder's id and the digests of the others, so that a foreign or
damaged folder is refused.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shoal.core.errors import ConfigError, StorageDamaged, StorageError
from shoal.router.example import Example, load_examples
from shoal.router.gaussian import Gaussians
from shoal.router.judgement import Judgement
from shoal.router.linear import LinearHead
from shoal.router.neighbour import Neighbours
from shoal.router.panel import Panel
from shoal.router.report import FitReport
from shoal.router.training import Trained, early_neighbours
from shoal.router.tuning import Tuning

__all__ = ["SavedRouter", "digest_router", "load_router", "refused", "save_router"]

FORMAT = "shoal-router"
VERSION = 4
NEIGHBOUR_ROWS = "Neighbours.rows"
Part = TypeVar("Part", LinearHead, Gaussians, Neighbours)
MANIFEST, ARRAYS, EXAMPLES, TUNING = "router.json", "arrays.npz", "examples.jsonl", "encoder.npz"


@dataclass(frozen=True, slots=True)
class SavedRouter:
    """All there is to a router, apart from its encoder."""

    encoder_id: str
    agents: tuple[str, ...]
    trained: Trained
    examples: tuple[Example, ...]
    report: FitReport
    tuning: Tuning | None = None
    """What the encoder was tuned by; None = it is as packaged, or one of the caller's."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str
    version: int
    encoder: str
    agents: tuple[str, ...]
    judgement: Judgement
    report: FitReport
    sha256: dict[str, str]


def digest_router(router: SavedRouter) -> str:
    """Content hash of what its decisions depend on."""
    # A field that came later and says nothing leaves the digests of older routers, and what hangs on them.
    judged = {name: value for name, value in asdict(router.trained.judgement).items() if value != ()}
    named = (router.encoder_id, router.agents, judged)
    content = hashlib.sha256(json.dumps(named, default=str).encode())
    for name, values in sorted(_arrays(router.trained).items()):
        content.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return content.hexdigest()


def save_router(router: SavedRouter, folder: Path) -> None:
    """Write the folder; the manifest goes last, so that half a router never reads as a whole one.

    Raises:
        StorageError: the folder cannot be written.
    """
    rows = [json.dumps({"text": e.text, "label": e.agent}, ensure_ascii=False) for e in router.examples]
    contents = {
        ARRAYS: _npz(_arrays(router.trained)),
        EXAMPLES: "".join(f"{row}\n" for row in rows).encode(),
    }
    if router.tuning:
        contents[TUNING] = _npz({field.name: getattr(router.tuning, field.name) for field in fields(Tuning)})
    manifest = _Manifest(
        format=FORMAT,
        version=VERSION,
        encoder=router.encoder_id,
        agents=router.agents,
        judgement=router.trained.judgement,
        report=router.report,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    contents[MANIFEST] = manifest.model_dump_json(indent=1).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (MANIFEST, TUNING):
            (folder / name).unlink(missing_ok=True)
        for name, content in contents.items():
            _ = (folder / name).write_bytes(content)
    except OSError as error:
        raise StorageError(f"cannot write the router to {folder}", why=str(error)) from error


def load_router(folder: Path) -> SavedRouter:
    """Read the folder back; whether the encoder is the right one is for the caller to see.

    Raises:
        StorageDamaged: not a router, damaged, or of another version.
    """
    manifest = _load_manifest(folder)
    try:
        for name, digest in manifest.sha256.items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise refused(folder, f"{name} is not what was written")
        examples = load_examples(folder / EXAMPLES)
        return SavedRouter(
            manifest.encoder,
            manifest.agents,
            _trained(_load_npz(folder / ARRAYS), manifest.judgement, len(examples)),
            examples,
            manifest.report,
            Tuning(**_load_npz(folder / TUNING)) if TUNING in manifest.sha256 else None,
        )
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, ConfigError) as error:
        raise refused(folder, str(error)) from error


def refused(folder: Path, why: str) -> StorageDamaged:
    """The error for a folder that this version cannot use."""
    return StorageDamaged(
        f"{folder} does not hold a router this version can use",
        why=why,
        mend=f"fit it anew: shoal router fit EXAMPLES --out {folder}",
    )


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _load_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: np.asarray(arrays[name]) for name in arrays.files}


def _arrays(trained: Trained) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"projection": trained.projection}
    for part in (trained.panel.head, trained.panel.gaussians, trained.panel.neighbours):
        arrays |= {f"{type(part).__name__}.{field.name}": getattr(part, field.name) for field in fields(part)}
    arrays[NEIGHBOUR_ROWS] = arrays[NEIGHBOUR_ROWS].astype(np.float16)  # what they were projected to
    return arrays


def _trained(arrays: Mapping[str, NDArray[Any]], judgement: Judgement, examples: int) -> Trained:
    def part(kind: type[Part]) -> Part:
        return kind(**{field.name: arrays[f"{kind.__name__}.{field.name}"] for field in fields(kind)})

    arrays = {**arrays, NEIGHBOUR_ROWS: arrays[NEIGHBOUR_ROWS].astype(np.float32)}
    panel = Panel(part(LinearHead), part(Gaussians), part(Neighbours))
    early = early_neighbours(panel.neighbours, judgement.unheard, examples)
    return Trained(arrays["projection"], panel, judgement, early)


def _load_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        raw = TypeAdapter(dict[str, object]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise refused(folder, f"{MANIFEST} cannot be read") from error
    if raw.get("format") != FORMAT or raw.get("version") != VERSION:
        raise refused(folder, f"it is {raw.get('format')} {raw.get('version')}, not {FORMAT} {VERSION}")
    try:
        return _Manifest.model_validate(raw)
    except ValidationError as error:
        raise refused(folder, f"{MANIFEST} is not what was written") from error
