# What shoal.training uses, no more.
from collections.abc import Iterable

from torch import Tensor

def clip_grad_norm_(tensors: Iterable[Tensor], most: float) -> Tensor: ...
