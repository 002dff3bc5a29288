"""What making a specialist says on the way and at its end, and what it is told about its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shoal.specialists import Version

__all__ = ["Progress", "Provenance", "SpecialiseReport", "Stage", "Step"]

Stage = Literal["curate", "prune", "tune", "evaluate", "compare", "gate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far it is."""

    stage: Stage
    text: str = ""
    """What was found, for a person; empty while the stage goes on."""
    done: int = 0
    """Steps of the tuning, or rows answered."""
    total: int = 0
    seconds_left: float | None = None
    """None = not known."""


Progress = Callable[[Step], None]
"""Called from several threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where the rows come from, for the card."""

    source: str = "not said"
    licence: str = "not said"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialiseReport:
    version: Version
    is_live: bool
    """It answers for the agent from now on."""
    folder: Path
    """Of the version, with its card."""
    notes: tuple[str, ...]
    """What a person should know about rows and scores."""
