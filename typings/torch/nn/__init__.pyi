# What shoal.training uses, no more.
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor
from torch.nn import functional as functional
from torch.nn import utils as utils

class Linear: ...

class TransformerEncoderLayer:
    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        *,
        dropout: float,
        activation: Callable[[Tensor], Tensor],
        layer_norm_eps: float,
        batch_first: bool,
    ) -> None: ...
    def __call__(self, states: Tensor, *, src_key_padding_mask: Tensor) -> Tensor: ...
    def load_state_dict(self, state: Mapping[str, Tensor]) -> object: ...
    def parameters(self) -> Iterator[Tensor]: ...
    def state_dict(self) -> Mapping[str, Tensor]: ...

class ModuleList:
    def append(self, layer: TransformerEncoderLayer) -> ModuleList: ...
    def __iter__(self) -> Iterator[TransformerEncoderLayer]: ...
    def __len__(self) -> int: ...
