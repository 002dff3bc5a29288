# What shoal.training uses, no more.
from collections.abc import Callable

from torch.optim import AdamW

class LambdaLR:
    def __init__(self, optimiser: AdamW, share: Callable[[int], float]) -> None: ...
    def step(self) -> None: ...
