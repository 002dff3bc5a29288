# What shoal.training uses, no more.
from collections.abc import Sequence
from typing import Any

from torch import Tensor

class Function:
    @classmethod
    def apply(cls, *values: Any) -> Any: ...

def grad(of: Tensor, by: Sequence[Tensor]) -> tuple[Tensor, ...]: ...
