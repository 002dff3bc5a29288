"""The upper half of MiniLM: out of the packaged file into torch, and back into bytes of that file.

Layers 4 to 6 are ordinary post-norm transformer layers. The file stores their matrices as int8 with one scale
an output column; tuned ones go back in the same way, so that the graph around them stays as it is.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.router.encoder import HIDDEN
from shoal.router.tuning import Tuning

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["pooled", "read_upper", "write_upper"]

LAYERS = (3, 4, 5)
HEADS = 12
MATRICES = 6
"""Of a layer, in the graph's order: query, key, value, attention output, feed-forward in and out."""
ATTENTION = ("query", "key", "value")
LARGEST = 127
Arrays: TypeAlias = dict[str, NDArray[np.float32]]
Upper: TypeAlias = "nn.ModuleList"


def read_upper(weights: bytes) -> Upper:
    """Layers 4 to 6 of a file like the packaged one."""
    import torch
    from torch import nn
    from torch.nn import functional

    file, upper = _File(weights), nn.ModuleList()
    for number in LAYERS:
        layer = nn.TransformerEncoderLayer(
            HIDDEN,
            HEADS,
            4 * HIDDEN,
            dropout=0.0,
            activation=functional.gelu,
            layer_norm_eps=1e-12,
            batch_first=True,
        )
        state = _to_torch(file.matrices(number), file.vectors(number))
        _ = layer.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        _ = upper.append(layer)
    return upper


def write_upper(upper: Upper, weights: bytes) -> Tuning:
    """What turns the packaged `weights` into these; matrices are rounded to int8 on the way."""
    file, pieces = _File(weights), dict[int, bytes]()
    for layer, number in zip(upper, LAYERS, strict=True):
        matrices, vectors = _from_torch({name: t.detach().numpy() for name, t in layer.state_dict().items()})
        for name, matrix in zip(file.matrix_names(number), matrices, strict=True):
            scale = np.maximum(np.abs(matrix).max(axis=0, keepdims=True), 1e-12) / LARGEST
            pieces[file.place(f"{name}_q")] = np.rint(matrix / scale).astype(np.int8).tobytes()
            pieces[file.place(f"{name}_scale")] = scale.astype(np.float32).tobytes()
        for name, stored in _vector_names(number):
            pieces[file.place(stored)] = vectors[name].astype(np.float32).tobytes()
    offsets = sorted(pieces)
    return Tuning(
        offsets=np.array(offsets, np.int64),
        lengths=np.array([len(pieces[offset]) for offset in offsets], np.int64),
        content=np.frombuffer(b"".join(pieces[offset] for offset in offsets), np.uint8),
    )


def pooled(upper: Upper, states: "torch.Tensor", padding: "torch.Tensor") -> "torch.Tensor":
    """(n, 384) of length 1: mean over tokens of the last layer.

    Args:
        upper: Layers 4 to 6.
        states: (n, tokens, 384), out of layer 3.
        padding: (n, tokens): True where there is no token.
    """
    from torch.nn import functional

    for layer in upper:
        states = layer(states, src_key_padding_mask=padding)
    tokens = (~padding).unsqueeze(-1).float()
    return functional.normalize((states * tokens).sum(1) / tokens.sum(1), dim=-1)


class _File:
    """An ONNX file by what stands in it."""

    def __init__(self, weights: bytes) -> None:
        import onnx

        graph = onnx.load_from_string(weights).graph
        self._weights = weights
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        factors = [node.input[1] for node in graph.node if node.op_type == "MatMul"]
        self._matrices = [name for name in factors if f"{name}_q" in self._tensors]

    def matrix_names(self, layer: int) -> list[str]:
        return self._matrices[layer * MATRICES : (layer + 1) * MATRICES]

    def matrices(self, layer: int) -> list[NDArray[np.float32]]:
        names = self.matrix_names(layer)
        return [self._array(f"{name}_q").astype(np.float32) * self._array(f"{name}_scale") for name in names]

    def vectors(self, layer: int) -> Arrays:
        return {name: self._array(stored) for name, stored in _vector_names(layer)}

    def place(self, name: str) -> int:
        """Where in the file a tensor's numbers begin; no 1,536 bytes of them are there twice."""
        return self._weights.index(self._tensors[name].raw_data)

    def _array(self, name: str) -> NDArray[np.float32]:
        from onnx import numpy_helper

        return numpy_helper.to_array(self._tensors[name]).copy()


def _to_torch(matrices: list[NDArray[np.float32]], vectors: Arrays) -> Arrays:
    """The state of a `TransformerEncoderLayer`, which keeps query, key and value in one."""
    query, key, value, output, widen, narrow = (np.ascontiguousarray(matrix.T) for matrix in matrices)
    parts = [vectors[f"{part}.bias"] for part in ATTENTION]
    return {name: row for name, row in vectors.items() if name.split(".")[0] not in ATTENTION} | {
        "self_attn.in_proj_weight": np.concatenate([query, key, value]),
        "self_attn.in_proj_bias": np.concatenate(parts),
        "self_attn.out_proj.weight": output,
        "linear1.weight": widen,
        "linear2.weight": narrow,
    }


def _from_torch(state: Arrays) -> tuple[list[NDArray[np.float32]], Arrays]:
    """The other way round."""
    query, key, value = np.split(state["self_attn.in_proj_weight"], 3)
    others = [state[name] for name in ("self_attn.out_proj.weight", "linear1.weight", "linear2.weight")]
    biases = np.split(state["self_attn.in_proj_bias"], 3)
    vectors = state | {f"{part}.bias": bias for part, bias in zip(ATTENTION, biases, strict=True)}
    return [matrix.T for matrix in (query, key, value, *others)], vectors


def _vector_names(layer: int) -> Iterator[tuple[str, str]]:
    """A layer's biases and norms: names in torch (`ATTENTION` apart), and in the file."""
    prefix = f"inner.encoder.layer.{layer}"
    for part in ATTENTION:
        yield f"{part}.bias", f"{prefix}.attention.self.{part}.bias"
    yield "self_attn.out_proj.bias", f"{prefix}.attention.output.dense.bias"
    yield "linear1.bias", f"{prefix}.intermediate.dense.bias"
    yield "linear2.bias", f"{prefix}.output.dense.bias"
    for norm, part in (("norm1", "attention.output"), ("norm2", "output")):
        for kind in ("weight", "bias"):
            yield f"{norm}.{kind}", f"{prefix}.{part}.LayerNorm.{kind}"
