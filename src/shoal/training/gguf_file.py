"""GGUF files read and written by the `gguf` package, with its errors named in our own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import ModelMissing, StorageDamaged
from shoal.training.checkpoint import storage_errors

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter

__all__ = ["Stored", "copy_fields", "dequantise", "field_value", "open_gguf", "quantise", "write_gguf"]

BY_ITSELF = ("GGUF.", "general.architecture")
"""Fields that a writer sets, or that tell of the file."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as it lies in a file."""

    name: str
    data: NDArray[Any]
    """Of the kind's own bytes, or float32 or float16."""
    kind: str
    """"Q8_0", "Q4_1", "F32", ..."""


def open_gguf(path: Path) -> "GGUFReader":
    """The file's fields and, mapped into memory, its tensors.

    Raises:
        ModelMissing: there is no such file.
        StorageDamaged: it is no GGUF, or ends too early.
    """
    from gguf import GGUFReader

    if not path.is_file():
        raise ModelMissing(f"there is no file {path}", why="it was never fetched, or was moved")
    try:
        return GGUFReader(path)
    except (ValueError, IndexError, OverflowError) as error:
        raise StorageDamaged(
            f"{path} is not a whole GGUF file", why=str(error), mend=f"rm {path}, and fetch or make it again"
        ) from error


def field_value(reader: "GGUFReader", key: str) -> Any:
    """None = the file does not say."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def copy_fields(reader: "GGUFReader", writer: "GGUFWriter", changed: Mapping[str, Any]) -> None:
    """Every field as it is, or with its changed value."""
    for name, field in reader.fields.items():
        if not name.startswith(BY_ITSELF):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, changed.get(name, field.contents()), field.types[0], inner)


def write_gguf(path: Path, writer: "GGUFWriter", tensors: Iterable[Stored]) -> None:
    """`writer` holds the fields, and no path yet. Whole or not at all.

    Raises:
        StorageError: the disk is full or read-only; what lay at `path` is untouched.
    """
    from gguf import GGMLQuantizationType

    temporary = path.with_name(f"{path.name}.new")
    for tensor in tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=GGMLQuantizationType[tensor.kind])
    with storage_errors(path.parent):
        writer.write_header_to_file(temporary)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        temporary.replace(path)


def dequantise(data: NDArray[Any], kind: str) -> NDArray[np.float32]:
    from gguf import GGMLQuantizationType, quants

    return quants.dequantize(data, GGMLQuantizationType[kind])


def quantise(matrix: NDArray[np.float32], kind: str) -> NDArray[Any]:
    from gguf import GGMLQuantizationType, quants

    return quants.quantize(matrix, GGMLQuantizationType[kind])
