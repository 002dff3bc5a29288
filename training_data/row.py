"""A training row, and the command line that every generator has."""

import argparse
import gzip
import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Row", "read_jsonl", "write_generated", "write_rows"]


@dataclass(frozen=True, slots=True)
class Row:
    input: str
    expected: Any
    """JSON: what the agent has to answer."""
    template: str = ""
    """Rows of one template go to one side of a split: what was learnt by heart is no test."""

    def dump(self) -> str:
        row: dict[str, Any] = {"input": self.input, "expected": self.expected}
        return json.dumps(row | ({"template": self.template} if self.template else {}), ensure_ascii=False)


Generate = Callable[[random.Random], Row]


def write_generated(generate: Generate) -> None:
    """`--rows N --seed S`: N different rows, one JSON object a line, on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_rows(distinct(generate, arguments.rows, arguments.seed))


def write_rows(rows: Iterator[Row]) -> None:
    for row in rows:
        sys.stdout.write(row.dump() + "\n")


def distinct(generate: Generate, count: int, seed: int) -> Iterator[Row]:
    """Rows with `count` different inputs.

    Raises:
        ValueError: the generator repeats itself too often to give so many.
    """
    chance, seen = random.Random(seed), set[str]()
    for _ in range(20 * count):
        if len(seen) == count:
            return
        row = generate(chance)
        if row.input not in seen:
            seen.add(row.input)
            yield row
    if len(seen) < count:
        raise ValueError(f"only {len(seen)} different rows in {20 * count} tries")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a `.jsonl` or `.jsonl.gz` file; split on line feeds only: texts hold other ends."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode("utf-8").split("\n") if line]
