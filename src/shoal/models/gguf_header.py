"""What a GGUF file says of itself before its weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Only numbers and texts; lists, such as the vocabulary, are passed over. Loading is llama.cpp's work.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from shoal.core.errors import StorageDamaged, StorageError

__all__ = ["read_header"]

MAGIC = b"GGUF"
LONGEST = 1 << 24
"""Bytes of a text, and entries of a list, that are believed."""
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9

Value = str | int | float | None


def read_header(gguf: Path) -> dict[str, Value]:
    """Its fields by name, e.g. "general.architecture"; None for lists.

    Raises:
        StorageError: the file cannot be read.
        StorageDamaged: it is no GGUF, or ends too early.
    """
    try:
        with gguf.open("rb") as file:
            if file.read(4) != MAGIC:
                raise StorageDamaged(f"{gguf} is not a GGUF file")
            _version, _tensors, fields = (_number(file, kind) for kind in "IQQ")
            return dict(_field(file) for _ in range(min(int(fields), LONGEST)))
    except OSError as error:
        raise StorageError(f"{gguf} cannot be read", why=str(error)) from error
    except (struct.error, KeyError, ValueError) as error:
        raise StorageDamaged(f"{gguf} is damaged", why="its header makes no sense") from error


def _field(file: BinaryIO) -> tuple[str, Value]:
    name = _text(file)
    return name, _value(file, int(_number(file, "I")))


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == TEXT:
        return _text(file)
    if kind != LIST:
        return _number(file, NUMBERS[kind])
    inner, length = int(_number(file, "I")), int(_number(file, "Q"))
    if length > LONGEST:
        raise ValueError(length)
    if inner in NUMBERS:
        _take(file, length * struct.calcsize(f"<{NUMBERS[inner]}"))
    else:
        for _ in range(length):
            _value(file, inner)
    return None


def _text(file: BinaryIO) -> str:
    length = int(_number(file, "Q"))
    if length > LONGEST:
        raise ValueError(length)
    return _take(file, length).decode(errors="replace")


def _number(file: BinaryIO, kind: str) -> int | float:
    value: int | float
    (value,) = struct.unpack(f"<{kind}", _take(file, struct.calcsize(f"<{kind}")))
    return value


def _take(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise ValueError(length)
    return content
