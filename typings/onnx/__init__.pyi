# What shoal.training uses, no more: onnx is in the extra `train`, and not where types are checked.
from collections.abc import Sequence

class TensorProto:
    name: str
    raw_data: bytes

class NodeProto:
    op_type: str
    input: Sequence[str]

class GraphProto:
    initializer: Sequence[TensorProto]
    node: Sequence[NodeProto]

class ModelProto:
    graph: GraphProto

def load_from_string(content: bytes) -> ModelProto: ...
