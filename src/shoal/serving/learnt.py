"""What past runs have shown of loads: bytes and seconds, kept in a file of the data folder."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast, final

from shoal.serving.task import Costs, Load

__all__ = ["Learnt"]

RECENT = 0.3
"""Weight of the newest measurement in a moving average."""
LIMIT_S = 86_400.0
"""What was seen not to fit is tried again after so long: something else may have been the cause."""


@final
class Learnt:
    """Costs by load, and what is known of a host's memory.

    Losing the file costs some guesses, so that a damaged or unwritable one is passed over. Several processes
    may write it; the last one's figures for a load hold.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        """Nothing is read here.

        Args:
            path: of the file; None = forget everything at the end.
            clock: seconds, which go on between two runs.
        """
        self._path = path
        self._clock = clock
        self._costs: dict[str, dict[str, float]] = {}
        self._measured: dict[str, set[str]] = {}
        self._hosts: dict[str, dict[str, float]] = {}

    def costs(self, load: Load, guess: Costs) -> Costs:
        """The guess, with what is known put in its place."""
        self._read()
        for name, value in self._costs.get(_key(load), {}).items():
            if name in NAMES:
                setattr(guess, name, int(value) if name == "size_bytes" else value)
        return guess

    def limits(self, host: str) -> tuple[int | None, int | None]:
        """Bytes that loads were seen to be held to in the last day, and to fit into; None = not seen."""
        self._read()
        known = self._hosts.get(host, {})
        limit = known.get("limit") if self._clock() < known.get("limit_until", 0.0) else None
        fits = known.get("fits")
        return None if limit is None else int(limit), None if fits is None else int(fits)

    def note(self, load: Load, costs: Costs, **measured: float) -> None:
        """Move the costs of a load towards what was measured; the first measurement replaces the guess."""
        seen = self._measured.setdefault(_key(load), set(self._costs.get(_key(load), ())))
        for name, value in measured.items():
            old: float = getattr(costs, name)
            new = old + RECENT * (value - old) if name in seen and name != "size_bytes" else value
            setattr(costs, name, int(new) if name == "size_bytes" else new)
            seen.add(name)
        self._costs[_key(load)] = {name: value for name, value in asdict(costs).items() if name in seen}

    def note_limit(self, host: str, limit: int | None) -> None:
        """More bytes than these do not fit together; None = they do after all."""
        known = {"fits": self._hosts.get(host, {}).get("fits", 0)}
        if limit is not None:
            known |= {"limit": limit, "limit_until": self._clock() + LIMIT_S}
        self._hosts[host] = known

    def note_fits(self, host: str, fits: int) -> None:
        """So many bytes were in memory together."""
        self._hosts.setdefault(host, {})["fits"] = fits

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self._path is None or not (self._costs or self._hosts):
            return
        kept = _load(self._path)
        kept = {
            "costs": {**_table(kept, "costs"), **self._costs},
            "hosts": {**_table(kept, "hosts"), **self._hosts},
        }
        beside = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            beside.replace(self._path)
        except OSError:
            beside.unlink(missing_ok=True)

    def _read(self) -> None:
        """What others have written since; own measurements win."""
        if self._path is not None:
            kept = _load(self._path)
            self._costs = {**_table(kept, "costs"), **self._costs}
            self._hosts = {**_table(kept, "hosts"), **self._hosts}


NAMES = frozenset(field.name for field in fields(Costs))


def _key(load: Load) -> str:
    return f"{load.host} {load.base} {load.num_ctx or ''} {load.adapter or ''}".strip()


def _load(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}


def _table(kept: dict[str, Any], name: str) -> dict[str, Any]:
    table = kept.get(name)
    if not isinstance(table, dict):
        return {}
    rows = cast("dict[str, Any]", table)
    return {key: row for key, row in rows.items() if isinstance(row, dict) and _is_numbers(cast("Any", row))}


def _is_numbers(row: dict[str, Any]) -> bool:
    return all(isinstance(value, int | float) and value >= 0 for value in row.values())
