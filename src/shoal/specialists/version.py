"""A version: one trained, evaluated specialist on disk, and the record of how it came about.

Its folder holds `version.json` (this record), `adapter.gguf` and `card.md`, and `examples.jsonl` where the
router is to learn from what it was trained on. The record carries the format's number and the adapter's
hash, so that a foreign folder, a cut file and an edited one are refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shoal.core.errors import StorageDamaged
from shoal.core.file_digest import hash_file
from shoal.specialists.specialist import Specialist

__all__ = [
    "ADAPTER",
    "CARD",
    "RECORD",
    "DataRecord",
    "Draft",
    "Gate",
    "Score",
    "TuningRecord",
    "Version",
    "dump_version",
    "load_version",
    "open_version",
]

FORMAT = 1
RECORD, ADAPTER, CARD = "version.json", "adapter.gguf", "card.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecord:
    """What a version was trained and tested on."""

    digest: str
    """Content hash of the rows, as they came in."""
    rows: int
    """Trained on."""
    held_out: int
    """Not trained on; the scores and the gate are from these."""
    licence: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRecord:
    """How it was trained."""

    settings: Mapping[str, str | int | float | bool | None]
    """All that was set, the seed included."""
    steps: int
    seconds: float
    """On the clock, interruptions left out."""
    device: str
    energy_j: float | None = None
    """None = nothing here can measure it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric on held-out rows, in [0, 1], with its confidence interval."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether it may go live."""

    passed: bool
    reasons: tuple[str, ...] = ()
    """What was compared, with figures; where it did not pass, why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that is known of a specialist before it is added to a registry."""

    base: str
    """`engine:model` whose weights it was trained on."""
    base_digest: str
    """As `hash_file` gives it, of the base's GGUF."""
    system: str
    """The system message it was trained with, and is asked with."""
    data: DataRecord
    tuning: TuningRecord
    scores: Mapping[str, Score]
    """By metric, the most telling first."""
    gate: Gate
    notes: str = ""
    """For the card, as Markdown: what it is for, and what it cannot do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Draft):
    """A specialist that a registry holds."""

    agent: str
    number: int
    """From 1, in the order they were added."""
    adapter_digest: str
    """As `hash_file` gives it."""
    adapter_bytes: int
    created: str
    """Day in UTC, ISO 8601."""
    format: int = field(default=FORMAT)

    @property
    def key(self) -> str:
        """E.g. "order-reader@3"."""
        return f"{self.agent}@{self.number}"


def dump_version(version: Version) -> str:
    """The content of `version.json`."""
    return json.dumps(asdict(version), ensure_ascii=False, indent=1) + "\n"


def load_version(folder: Path) -> Version:
    """The record of the version in a folder; its adapter is not looked at.

    Raises:
        StorageDamaged: there is none, it is damaged, of another format, or of another agent or number.
    """
    try:
        raw = _JSON.validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise _damaged(folder, f"{RECORD} cannot be read: {str(error).splitlines()[0]}") from error
    if raw.get("format") != FORMAT:
        raise _damaged(folder, f"it has format {raw.get('format')}, and this version reads {FORMAT}")
    try:
        version = _VERSION.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(folder, f"{RECORD} is not what was written: {place}: {first['msg']}") from error
    if (version.agent, str(version.number)) != (folder.parent.name, folder.name):
        raise _damaged(folder, f"{RECORD} is that of {version.key}")
    return version


def open_version(folder: Path) -> Specialist:
    """The version in a folder, ready to be served. Reads the whole adapter once.

    Raises:
        StorageDamaged: its record or its adapter is not what was written.
    """
    version, adapter = load_version(folder), folder / ADAPTER
    try:
        size = adapter.stat().st_size
        digest = hash_file(adapter)
    except OSError as error:
        raise _damaged(folder, f"{ADAPTER} cannot be read: {error}") from error
    if size != version.adapter_bytes:
        raise _damaged(folder, f"{ADAPTER} has {size} bytes, and {version.adapter_bytes} were written")
    if digest != version.adapter_digest:
        raise _damaged(folder, f"{ADAPTER} was changed: it has {digest}, not {version.adapter_digest}")
    return Specialist(
        key=version.key,
        system=version.system,
        adapter=adapter,
        base=version.base,
        base_digest=version.base_digest,
        digest=digest,
    )


def _damaged(folder: Path, why: str) -> StorageDamaged:
    agent = folder.parent.name
    return StorageDamaged(
        f"{agent}@{folder.name} cannot be used",
        why=f"in {folder}: {why}",
        mend=f"restore the folder from a copy, or take another version: shoal specialists {agent}",
    )


_JSON: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])
_VERSION: TypeAdapter[Version] = TypeAdapter(Version)
