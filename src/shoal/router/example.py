"""Labelled examples: the text of a request and the agent it belongs to.

Reads them from pairs or from a JSON-lines file, once, and says exactly which line is wrong. It does not
judge them; `report.py` does.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from shoal.core.errors import ConfigError

__all__ = ["Example", "Examples", "load_examples", "parse_examples", "read_lines", "text_key"]


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    agent: str | None
    """None = out of scope: no agent should get it."""


Examples: TypeAlias = "Iterable[tuple[str, str | None]] | Iterable[Example] | str | Path"
"""Pairs, or the path of a JSONL or JSONL.gz file of `{"text": ..., "label": ...}` rows."""


class _Row(BaseModel):
    model_config = ConfigDict(strict=True)

    text: str
    label: str | None
    """Has to be there, also when it is null: a forgotten label must not read as "out of scope"."""


def parse_examples(examples: Examples) -> tuple[Example, ...]:
    """Examples from anything `Router.fit` takes; half a surrogate pair, which no file can hold, becomes "?".

    Raises:
        ConfigError: a file that cannot be read, or a line that is not an example.
    """
    if isinstance(examples, str | Path):
        return load_examples(Path(examples))
    rows = (item if isinstance(item, Example) else Example(*item) for item in examples)
    return tuple(Example(row.text.encode("utf-8", "replace").decode(), row.agent) for row in rows)


def load_examples(path: Path) -> tuple[Example, ...]:
    """Examples of one file, in its order; blank lines are skipped.

    Raises:
        ConfigError: the file cannot be read, or a line of it is not an example.
    """
    return tuple(_parse_line(line, f"{path}:{number}") for number, line in read_lines(path))


def text_key(text: str) -> str:
    """Equal for texts that differ in case and spacing only."""
    return " ".join(text.casefold().split())


def read_lines(path: Path) -> tuple[tuple[int, str], ...]:
    """Lines of a JSONL or JSONL.gz file with their numbers; blank ones are skipped.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        raw = path.read_bytes()
        content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ConfigError(
            f"cannot read the rows in {path}",
            why=str(error),
            mend='give a UTF-8 file with one {"text": ..., "label": ...} a line, plain or .gz',
        ) from error
    # Only "\n" ends a line: texts may hold U+2028 and its like, which splitlines() would break at.
    lines = enumerate(content.split("\n"), start=1)
    return tuple((number, line) for number, line in lines if line.strip())


def _parse_line(line: str, place: str) -> Example:
    try:
        row = _Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{place} is not a labelled example",
            why=f"{field}: {first['msg']}" if field else first["msg"],
            mend='write it as {"text": "where is my parcel?", "label": "orders"} (label null = out of scope)',
        ) from error
    return Example(row.text, row.label)
