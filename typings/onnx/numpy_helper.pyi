# What shoal.training uses, no more.
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

def to_array(tensor: TensorProto) -> NDArray[np.float32]: ...
