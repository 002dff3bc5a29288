"""Rows for the receipt reader: lines of a scanned receipt -> company, date, address, total.

`python -m training_data.receipt FILE`: rows with `text` and `fields`, as those of SROIE (ICDAR 2019) are. Its
terms of use name no licence, so neither rows nor a specialist trained on them are in this repository.
`--varied N` adds receipts with other dates, other totals and fewer lines of goods. Receipts are kept whole.
"""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

from training_data.row import Row, distinct, read_jsonl, write_rows

__all__ = ["read_receipts", "varied"]

FIELDS = ("company", "date", "address", "total")
DIGIT = re.compile(r"\d")


def read_receipts(path: Path) -> Iterator[Row]:
    """Rows in the order of the file; a field that is not there is null."""
    for row in read_jsonl(path):
        expected = {name: row["fields"].get(name) for name in FIELDS}
        yield Row(row["text"], expected, f"company {expected['company']}")


def varied(chance: random.Random, rows: list[Row]) -> Row:
    """A receipt with other digits in its total wherever they stand, another day, and some lines left out."""
    row = chance.choice(rows)
    text, expected = row.input, dict(row.expected)
    for name in ("total", "date"):
        old = expected[name]
        if old and old in text:
            new = _other_total(chance, old) if name == "total" else _other_day(chance, old)
            text, expected[name] = text.replace(old, new), new
    lines = text.split("\n")
    needed = {value for value in (expected["company"], expected["date"], expected["total"]) if value}
    body = range(min(10, len(lines)), max(0, len(lines) - 12))
    dropped = {
        at for at in body if chance.random() < 0.25 and not any(value in lines[at] for value in needed)
    }
    return Row("\n".join(line for at, line in enumerate(lines) if at not in dropped), expected, row.template)


def _other_total(chance: random.Random, old: str) -> str:
    return DIGIT.sub(
        lambda match: str(chance.randint(1, 9)) if match.start() == 0 else str(chance.randrange(10)), old
    )


def _other_day(chance: random.Random, old: str) -> str:
    """The same form, another day of the month: only where the day comes first."""
    match = re.match(r"\d{2}(?=[/. -])", old)
    return f"{chance.randint(1, 28):02}{old[2:]}" if match and int(match[0]) <= 28 else old


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--varied", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = list(read_receipts(arguments.file))
    more = distinct(lambda chance: varied(chance, rows), arguments.varied, arguments.seed)
    write_rows(row for part in (rows, more) for row in part)


if __name__ == "__main__":
    main()
