"""A tuned adapter as the GGUF that llama.cpp applies to its base, request by request."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.training.gguf_file import Stored, field_value, open_gguf, write_gguf
from shoal.training.tune_settings import TuneSettings

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["to_llama_rope", "write_adapter"]

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
ROTATED = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}
"""Matrices whose outputs llama.cpp orders differently, and how many heads they have."""
REORDERED = {"llama"}
"""Architectures it does so for."""


def write_adapter(pairs: Mapping[str, "Tensor"], base: Path, path: Path, settings: TuneSettings) -> None:
    """Float16. `pairs` by peft's names; `base` tells architecture and heads.

    Raises:
        StorageError: the disk is full or read-only; what lay at `path` is untouched.
    """
    from gguf import GGUFWriter

    reader = open_gguf(base)
    architecture = str(field_value(reader, "general.architecture"))
    writer = GGUFWriter(None, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", settings.alpha)

    def stored() -> Iterator[Stored]:
        for name, tensor in pairs.items():
            block, part, side = parse_name(name)
            matrix = tensor.detach().float().cpu().numpy()
            if side == "b" and part in ROTATED and architecture in REORDERED:
                matrix = to_llama_rope(matrix, int(field_value(reader, f"{architecture}.{ROTATED[part]}")))
            half = np.ascontiguousarray(matrix.astype(np.float16))
            yield Stored(f"blk.{block}.{part}.weight.lora_{side}", half, "F16")

    write_gguf(path, writer, stored())


def parse_name(name: str) -> tuple[int, str, str]:
    """Block, GGUF's name of the matrix, and "a" or "b", of peft's name for a tensor."""
    before, _, rest = name.partition(".layers.")
    assert before, name
    block, _, rest = rest.partition(".")
    module, _, side = rest.partition(".lora_")
    return int(block), NAMES[module], side[0].lower()


def to_llama_rope(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of each head from halves (x0 x1 .. y0 y1 ..) to pairs (x0 y0 x1 y1 ..).

    Rotary embedding turns two numbers of a head together. transformers has the first of all pairs before the
    second of all; llama.cpp's converter for this family interleaves them.
    """
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)
