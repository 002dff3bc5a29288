"""A decision that a person corrected becomes an example: a line added to a file, where none is changed."""

import json
from dataclasses import dataclass
from pathlib import Path

from shoal.core.errors import StorageError
from shoal.router.example import Example, load_examples, text_key

__all__ = ["Correction", "add_correction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    text: str
    agent: str | None
    """None = nobody should get it."""
    added: bool
    """False: the file already says so."""
    contradicts: tuple[str, ...] = ()
    """What the file says of the same text otherwise: agents, or "nobody". A person has to take that out."""
    examples: int
    """In the file now."""


def add_correction(path: Path, correction: Example) -> Correction:
    """Append the example to a JSONL file, made where it is missing, unless it is there.

    Raises:
        ConfigError: the file cannot be read, or a line of it is no example.
        StorageError: it cannot be written.
    """
    there = load_examples(path) if path.exists() else ()
    same = [example for example in there if text_key(example.text) == text_key(correction.text)]
    added = all(example.agent != correction.agent for example in same)
    if added:
        _append(path, correction)
    others = {example.agent or "nobody" for example in same if example.agent != correction.agent}
    return Correction(
        text=correction.text,
        agent=correction.agent,
        added=added,
        contradicts=tuple(sorted(others)),
        examples=len(there) + added,
    )


def _append(path: Path, example: Example) -> None:
    row = json.dumps({"text": example.text, "label": example.agent}, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            size = file.seek(0, 2)
            if size:
                file.seek(size - 1)
                unfinished = file.read(1) != b"\n"
            else:
                unfinished = False
            _ = file.write(b"\n" * unfinished + row.encode() + b"\n")
    except OSError as error:
        raise StorageError(f"cannot write {path}", why=str(error)) from error
