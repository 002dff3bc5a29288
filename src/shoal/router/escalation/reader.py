"""Rows of a cascade: a prompt, and what the small and the large model made of it.

Reads JSON lines and says exactly which line is wrong. It judges nothing: what a prompt looks like is read by
`text_form.py`, `option_form.py` and `tool_form.py`.
"""

import gzip
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from shoal.core.errors import InputError, UnknownName

__all__ = ["CascadeRow", "Outcome", "load_rows", "name_models"]

ROW = '{"prompt": ..., "small": {"correct": true, "confidence": 0.3}, "large": {"correct": true}}'
UNBOUNDED = 1e9
"""Stands for an infinite confidence: beyond every other, and still a number."""
PARAMETERS = re.compile(r"(\d+(?:\.\d+)?)\s*(b|m)(?![a-z])", re.IGNORECASE)


class Outcome(BaseModel):
    """One model's answer to one prompt."""

    model_config = ConfigDict(frozen=True)

    correct: bool
    confidence: float | None = None
    """As the model gave it, on any scale, higher = surer; None = it gave none."""
    cost_usd: float | None = None
    latency_ms: float | None = None
    answer: str | None = None
    model: str | None = None


class _Line(BaseModel):
    prompt: str
    small: Outcome | None = None
    large: Outcome | None = None
    functions: list[dict[str, Any]] | dict[str, Any] | None = None
    models: dict[str, bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeRow:
    """A prompt with its outcomes."""

    prompt: str
    small: Outcome
    large: Outcome | None = None
    """None = the large model was not asked."""
    functions: tuple[dict[str, Any], ...] = ()
    """Function documents (JSON Schema) that the prompt came with."""
    peers: tuple[bool, ...] = ()
    """Whether each of some other models was right: what is hard for many is hard."""

    @property
    def key(self) -> str:
        """What the row asks, outcomes aside."""
        return json.dumps([self.prompt, self.functions], sort_keys=True)


def load_rows(
    paths: Sequence[Path], *, small: str | None = None, large: str | None = None
) -> tuple[CascadeRow, ...]:
    """All rows of some JSONL or JSONL.gz files, in order; blank lines are skipped.

    Args:
        paths: the files.
        small: which of a row's `models` is the small one, for rows that do not say.
        large: which is the large one.

    Raises:
        InputError: a file cannot be read, is empty, or a line of it is no row.
        UnknownName: a row has no model of that name.
    """
    return tuple(
        _parse_line(line, f"{path}:{number}", small, large)
        for path in paths
        for number, line in enumerate(_read(path), start=1)
        if line.strip()
    )


def name_models(paths: Sequence[Path]) -> tuple[str | None, str | None]:
    """The cascade meant by rows that hold many models' outcomes: (small, large); None where rows say it.

    Small is the model with the fewest parameters in its name, large the one most often right. Ties go to
    the first by name.

    Raises:
        InputError: see `load_rows`, and where no name tells a number of parameters.
    """
    right: Counter[str] = Counter()
    for path in paths:
        for line in _read(path):
            if '"models"' in line:
                right.update(_parse_models(line, path))
    if not right:
        return None, None
    sized = [(size, name) for name in sorted(right) if (size := _parameters(name)) is not None]
    if not sized:
        raise InputError(
            "which of the models is the small one?",
            why="no name tells a number of parameters",
            mend="--small NAME --large NAME",
        )
    return min(sized)[1], max(sorted(right), key=lambda name: right[name])


def _parse_models(line: str, path: Path) -> dict[str, bool]:
    try:
        return _Line.model_validate_json(line).models or {}
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise InputError(f"a line of {path} is no row of a cascade", why=why) from error


def _parameters(name: str) -> float | None:
    """Billions, as the name says it."""
    found = PARAMETERS.search(name)
    return None if found is None else float(found[1]) * (1 if found[2].lower() == "b" else 1e-3)


def _read(path: Path) -> Iterable[str]:
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        mend = f"give a UTF-8 file with one {ROW} a line, plain or .gz"
        raise InputError(f"cannot read the rows in {path}", why=str(error), mend=mend) from error
    # Only "\n" ends a line: texts may hold U+2028 and its like, which splitlines() would break at.
    return content.split("\n")


def _parse_line(line: str, place: str, small: str | None, large: str | None) -> CascadeRow:
    try:
        row = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        why = f"{field}: {first['msg']}" if field else first["msg"]
        raise InputError(f"{place} is no row of a cascade", why=why, mend=f"write it as {ROW}") from error
    models = row.models or {}
    outcome = row.small or _named(models, small)
    if outcome is None:
        raise InputError(
            f"{place} lacks the small model", why="nothing to keep local", mend=f"write it as {ROW}"
        )
    functions = row.functions or []
    return CascadeRow(
        prompt=row.prompt,
        small=_finite(outcome),
        large=row.large or _named(models, large),
        functions=tuple(functions) if isinstance(functions, list) else (functions,),
        peers=tuple(right for name, right in models.items() if name not in (small, large)),
    )


def _named(models: dict[str, bool], name: str | None) -> Outcome | None:
    if name is None or not models:
        return None
    if name not in models:
        raise UnknownName("model", name, models)
    return Outcome(correct=models[name], model=name)


def _finite(outcome: Outcome) -> Outcome:
    """NaN is no confidence; an infinite one is a very high or low one."""
    value = outcome.confidence
    if value is None or math.isfinite(value):
        return outcome
    kept = None if math.isnan(value) else math.copysign(UNBOUNDED, value)
    return outcome.model_copy(update={"confidence": kept})
