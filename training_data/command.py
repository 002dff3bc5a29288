"""Rows for readers of commands: text -> intent and slots, converted from a file of labelled utterances.

`python -m training_data.command FILE`: rows with `text`, `label` and `slots` (name -> values in the order of
the text), as those of SNIPS and ATIS are. They are not in this repository: see docs/specialists.md.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from training_data.row import Row, read_jsonl, write_rows

__all__ = ["read_commands"]


def read_commands(path: Path) -> Iterator[Row]:
    """Rows in the order of the file; of a text that is there twice, the first."""
    seen = set[str]()
    for row in read_jsonl(path):
        if row["text"] not in seen:
            seen.add(row["text"])
            yield Row(row["text"], {"intent": row["label"], "slots": row["slots"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    write_rows(read_commands(parser.parse_args().file))


if __name__ == "__main__":
    main()
