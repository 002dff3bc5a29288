# What shoal.training uses, no more.
from collections.abc import Mapping, Sequence
from typing import Any

class Linear:
    base_layer: Any
    lora_A: Mapping[str, Any]
    lora_B: Mapping[str, Any]
    scaling: Mapping[str, float]
    @property
    def active_adapters(self) -> Sequence[str]: ...
