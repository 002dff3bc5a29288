# What shoal.training uses, no more: gguf is in the extra `train`, and not where types are checked.
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from gguf import quants as quants
from numpy.typing import NDArray

class GGMLQuantizationType(IntEnum):
    F32 = 0
    F16 = 1
    Q4_1 = 3
    Q8_0 = 8

class ReaderField:
    types: Sequence[Any]
    def contents(self) -> Any: ...

class ReaderTensor:
    name: str
    tensor_type: GGMLQuantizationType
    data: NDArray[Any]

class GGUFReader:
    fields: Mapping[str, ReaderField]
    tensors: Sequence[ReaderTensor]
    def __init__(self, path: Path) -> None: ...
    def get_field(self, key: str) -> ReaderField | None: ...

class GGUFWriter:
    def __init__(self, path: Path | None, arch: str) -> None: ...
    def add_key_value(self, key: str, val: object, vtype: Any, sub_type: Any = ...) -> None: ...
    def add_string(self, key: str, val: str) -> None: ...
    def add_float32(self, key: str, val: float) -> None: ...
    def add_tensor(self, name: str, tensor: NDArray[Any], *, raw_dtype: GGMLQuantizationType) -> None: ...
    def write_header_to_file(self, path: Path) -> None: ...
    def write_kv_data_to_file(self) -> None: ...
    def write_tensors_to_file(self) -> None: ...
    def close(self) -> None: ...
