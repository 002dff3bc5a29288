"""MiniLM's packaged file, rewritten so that ONNX Runtime keeps its int8 weights as int8.

The file turns every weight into float32 before use (Cast, then Mul by its scales), which the runtime does
while it loads: 22 MB become 90. Rewritten, a table's rows are read first and then turned, to the same bits,
and a matrix is multiplied as it is, by rows that are rounded to 8 bits too (`MatMulNBits`, one of the
runtime's own operators; of 8 bits from 1.22 on, on ARM from 1.23). Not an ONNX library: of protocol buffers
it reads what these messages use, since `onnx` is no dependency of serving.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np

__all__ = ["BLOCK", "rewrite_graph"]

BLOCK = 64
"""Numbers of a row that are rounded with one scale. Up to 64 a row's product is the same bits alone and among
others; with 128 its last bits depend on how many there are (ONNX Runtime 1.22, 1.23 and 1.31, AVX-512)."""
GRAPH, OPERATORS = 7, 8  # fields of a model
NODE, TENSOR, OUTPUT = 1, 5, 12  # of a graph
READS, WRITES, KIND, ATTRIBUTE, DOMAIN = 1, 2, 4, 5, 7  # of a node
SIZE, TYPE, TENSOR_NAME, NUMBERS = 1, 2, 8, 9  # of a tensor
FLOAT, UINT8, INT8 = 1, 2, 3  # types of a tensor
VARINT, SIZED = 0, 2  # ways in which a field is written
FIXED = {1: 8, 5: 4}  # the others, by their bytes
RUNTIME = b"com.microsoft"


class _Field(NamedTuple):
    number: int
    value: int
    """Of a field that is a number."""
    content: memoryview
    """Of a field that is bytes."""
    whole: memoryview


class _Node(NamedTuple):
    kind: bytes
    reads: tuple[bytes, ...]
    writes: tuple[bytes, ...]
    attributes: bytes
    whole: memoryview


class _Tensor(NamedTuple):
    type: int
    sizes: tuple[int, ...]
    numbers: memoryview
    whole: memoryview


class _Weight(NamedTuple):
    """What turns it into floats, and the only node that reads them."""

    stored: bytes
    scales: bytes
    cast: _Node
    product: _Node
    user: _Node

    @property
    def is_matrix(self) -> bool:
        return self.user.kind == b"MatMul"


def rewrite_graph(model: bytes, outputs: Sequence[str]) -> Iterator[bytes]:
    """Pieces that make up the rewritten model, with `outputs`, float tensors all, among its outputs.

    A weight that is stored or used in another way than the packaged file's stays as it is. Protocol buffers
    merge when they are concatenated: every node, tensor and output comes in a graph of its own.
    """
    graph: list[_Field] = []
    for field in _fields(memoryview(model)):
        if field.number == GRAPH:
            graph.extend(_fields(field.content))
        else:
            yield bytes(field.whole)
    there = {_name(field, 1) for field in graph if field.number == OUTPUT}
    wanted = [name for name in map(str.encode, outputs) if name not in there]
    nodes = [_node(field) for field in graph if field.number == NODE]
    tensors = {_name(field, TENSOR_NAME): _tensor(field) for field in graph if field.number == TENSOR}
    weights = list(_weights(nodes, tensors, {*there, *wanted}))
    if any(weight.is_matrix for weight in weights):
        yield _field(OPERATORS, _field(1, RUNTIME) + _field(2, 1))
    for piece in chain(_new_nodes(nodes, weights, tensors), _new_tensors(weights, tensors)):
        yield _field(GRAPH, piece)
    for field in graph:
        if field.number not in (NODE, TENSOR):
            yield _field(GRAPH, bytes(field.whole))
    for name in wanted:
        yield _field(GRAPH, _field(OUTPUT, _field(1, name) + _field(2, _field(1, _field(1, FLOAT)))))


def _weights(
    nodes: Sequence[_Node], tensors: Mapping[bytes, _Tensor], outputs: Container[bytes]
) -> Iterator[_Weight]:
    readers = Counter(name for node in nodes for name in node.reads)
    maker = {name: node for node in nodes for name in node.writes}
    for user in nodes:
        if user.kind not in (b"MatMul", b"Gather"):
            continue
        product = maker.get(user.reads[1 if user.kind == b"MatMul" else 0])
        cast = maker.get(product.reads[0]) if product else None
        if not product or product.kind != b"Mul" or not cast or cast.kind != b"Cast":
            continue
        weight = _Weight(cast.reads[0], product.reads[1], cast, product, user)
        names = (weight.stored, weight.scales, *cast.writes, *product.writes)
        if all(readers[name] == 1 and name not in outputs for name in names) and _fits(weight, tensors):
            yield weight


def _fits(weight: _Weight, tensors: Mapping[bytes, _Tensor]) -> bool:
    """One scale for each column of a matrix, for each row of a table; numbers as raw bytes."""
    stored, scales = tensors.get(weight.stored), tensors.get(weight.scales)
    if not stored or not scales or (stored.type, scales.type, len(stored.sizes)) != (INT8, FLOAT, 2):
        return False
    rows, columns = stored.sizes
    if (len(stored.numbers), len(scales.numbers)) != (rows * columns, 4 * prod(scales.sizes)):
        return False
    if weight.is_matrix:
        return scales.sizes == (1, columns) and rows % BLOCK == 0
    return scales.sizes == (rows, 1)


def _new_nodes(
    nodes: Sequence[_Node], weights: Sequence[_Weight], tensors: Mapping[bytes, _Tensor]
) -> Iterator[bytes]:
    by_user = {weight.user.writes: weight for weight in weights}
    gone = {node.writes for weight in weights for node in (weight.cast, weight.product)}
    for node in nodes:
        weight = by_user.get(node.writes)
        if weight and weight.is_matrix:
            yield _multiplied(weight, tensors[weight.stored])
        elif weight:
            yield from _rows_first(weight)
        elif node.writes not in gone:
            yield bytes(node.whole)


def _rows_first(weight: _Weight) -> Iterator[bytes]:
    user, name = weight.user, weight.user.writes[0]
    stored, scales, turned = name + b"_q", name + b"_scale", name + b"_f"
    yield _new_node(b"Gather", (weight.stored, user.reads[1]), stored, user.attributes)
    yield _new_node(b"Gather", (weight.scales, user.reads[1]), scales, user.attributes)
    yield _new_node(b"Cast", (stored,), turned, weight.cast.attributes)
    yield _new_node(b"Mul", (turned, scales), name)


def _multiplied(weight: _Weight, stored: _Tensor) -> bytes:
    rows, columns = stored.sizes
    # Level 4 multiplies integers; below it the runtime would turn the matrix into floats in every run.
    settings = {b"K": rows, b"N": columns, b"bits": 8, b"block_size": BLOCK, b"accuracy_level": 4}
    attributes = b"".join(
        _field(ATTRIBUTE, _field(1, name) + _field(3, value) + _field(20, 2))  # 2: an integer
        for name, value in settings.items()
    )
    reads = (weight.user.reads[0], weight.stored, weight.scales)
    return _new_node(b"MatMulNBits", reads, weight.user.writes[0], attributes + _field(DOMAIN, RUNTIME))


def _new_node(kind: bytes, reads: Sequence[bytes], writes: bytes, attributes: bytes = b"") -> bytes:
    names = b"".join(_field(READS, name) for name in reads) + _field(WRITES, writes)
    return _field(NODE, names + _field(KIND, kind) + attributes)


def _new_tensors(weights: Sequence[_Weight], tensors: Mapping[bytes, _Tensor]) -> Iterator[bytes]:
    of_matrices: set[bytes] = set()
    for weight in (weight for weight in weights if weight.is_matrix):
        yield from _packed(weight, tensors)
        of_matrices |= {weight.stored, weight.scales}
    for name, tensor in tensors.items():
        if name not in of_matrices:
            yield bytes(tensor.whole)


def _packed(weight: _Weight, tensors: Mapping[bytes, _Tensor]) -> Iterator[bytes]:
    """As `MatMulNBits` wants it: column by column in blocks, 128 standing for nought, a scale a block."""
    stored, scales = tensors[weight.stored], tensors[weight.scales]
    rows, columns = stored.sizes
    blocks = rows // BLOCK
    matrix = np.frombuffer(stored.numbers, np.uint8).reshape(rows, columns)
    flipped = np.ascontiguousarray(matrix.T) ^ np.uint8(128)  # two's complement plus 128: the sign bit turned
    repeated = np.repeat(np.frombuffer(scales.numbers, "<f4"), blocks)
    yield _new_tensor(weight.stored, UINT8, (columns, blocks, BLOCK), flipped.tobytes())
    yield _new_tensor(weight.scales, FLOAT, (columns * blocks,), repeated.tobytes())


def _new_tensor(name: bytes, kind: int, sizes: Sequence[int], numbers: bytes) -> bytes:
    shape = b"".join(_field(SIZE, size) for size in sizes)
    return _field(TENSOR, shape + _field(TYPE, kind) + _field(TENSOR_NAME, name) + _field(NUMBERS, numbers))


def _node(field: _Field) -> _Node:
    parts = list(_fields(field.content))
    reads, writes, kind = (
        tuple(bytes(part.content) for part in parts if part.number == number)
        for number in (READS, WRITES, KIND)
    )
    attributes = b"".join(bytes(part.whole) for part in parts if part.number == ATTRIBUTE)
    return _Node(kind[0], reads, writes, attributes, field.whole)


def _tensor(field: _Field) -> _Tensor:
    parts = list(_fields(field.content))
    kind = next((part.value for part in parts if part.number == TYPE), 0)
    numbers = next((part.content for part in parts if part.number == NUMBERS), field.content[:0])
    sizes = tuple(part.value for part in parts if part.number == SIZE)
    return _Tensor(kind, sizes, numbers, field.whole)


def _name(field: _Field, number: int) -> bytes:
    return next((bytes(part.content) for part in _fields(field.content) if part.number == number), b"")


def _fields(message: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        key, start = _number(message, at)
        value = size = 0
        if key & 7 == VARINT:
            value, start = _number(message, start)
        elif key & 7 == SIZED:
            size, start = _number(message, start)
        else:
            size = FIXED[key & 7]
        end = start + size
        yield _Field(key >> 3, value, message[start:end], message[at:end])
        at = end


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, seven bits a byte, and where the next field begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return _varint(number << 3 | VARINT) + _varint(content)
    return _varint(number << 3 | SIZED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
