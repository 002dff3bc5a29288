"""Base and adapter as one GGUF, for engines that take no adapters: Ollama's `create ... FROM`.

W + alpha / rank * B A for each matrix that has a pair, quantised anew. Everything else keeps its bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from shoal.core.errors import ConfigError
from shoal.training.gguf_file import (
    Stored,
    copy_fields,
    dequantise,
    field_value,
    open_gguf,
    quantise,
    write_gguf,
)

__all__ = ["MergedKind", "merge_adapter"]

MergedKind = Literal["Q8_0", "Q4_1"]
FILE_TYPES: dict[MergedKind, int] = {"Q8_0": 7, "Q4_1": 3}
"""general.file_type, as llama.cpp numbers them."""


def merge_adapter(base: Path, adapter: Path, path: Path, kind: MergedKind) -> None:
    """Write to `path` what `base` with `adapter` computes, but for the rounding of `kind`.

    Needs no torch, and a few seconds for a small model.

    Raises:
        ConfigError: the adapter is for another architecture, or has matrices that the base has not.
        ModelMissing: one of the two files is not there.
        StorageDamaged: one of the two is no GGUF, or is cut short.
        StorageError: the disk is full or read-only; what lay at `path` is untouched.
    """
    from gguf import GGUFWriter

    whole, small = open_gguf(base), open_gguf(adapter)
    architecture = field_value(whole, "general.architecture")
    if field_value(small, "general.architecture") != architecture:
        raise _misfit(base, adapter, f"the base is a {architecture}")
    pairs = {tensor.name: np.asarray(tensor.data, np.float32) for tensor in small.tensors}
    names = {tensor.name for tensor in whole.tensors}
    if foreign := {name.rpartition(".lora_")[0] for name in pairs} - names:
        raise _misfit(base, adapter, f"the base has no {min(foreign)}")
    writer = GGUFWriter(None, architecture)
    copy_fields(whole, writer, {"general.file_type": FILE_TYPES[kind]})
    alpha = float(field_value(small, "adapter.lora.alpha"))

    def merged() -> Iterator[Stored]:
        for tensor in whole.tensors:
            stored = Stored(tensor.name, tensor.data, tensor.tensor_type.name)
            a, b = pairs.get(f"{tensor.name}.lora_a"), pairs.get(f"{tensor.name}.lora_b")
            if a is not None and b is not None:
                matrix = dequantise(tensor.data, stored.kind)
                if matrix.shape != (len(b), a.shape[1]):
                    raise _misfit(base, adapter, f"{tensor.name} has the shape {matrix.shape}")
                change = np.multiply(b @ a, alpha / len(a), dtype=np.float32)
                stored = Stored(tensor.name, quantise(matrix + change, kind), kind)
            yield stored

    write_gguf(path, writer, merged())


def _misfit(base: Path, adapter: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the adapter {adapter.name} does not belong to {base.name}",
        why=why,
        mend="merge it with the base it was tuned on: its version.json names it",
    )
