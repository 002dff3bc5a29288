"""What learns: the model with its pairs and the optimiser; one step at a time.

On a processor each core takes rows of its own through the whole model, in a thread: two cores that share
every matrix wait for each other thousands of times a step, and for a third process each time one is busy.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from shoal.core.errors import ConfigError
from shoal.models.embedded_settings import usable_cores
from shoal.training.batching import EncodedRow, build_stream, split_batch
from shoal.training.lora_model import add_pairs, answer_loss, pairs
from shoal.training.tune_settings import TuneSettings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["Learner"]

CPU_TOKENS, GPU_TOKENS = 2048, 32_768
"""Computed together by one core, or by the card."""
PIECES_A_CORE = 2
"""A core that something else keeps busy leaves its second piece to the others."""
CLIP = 1.0
"""Longest gradient: a row that is wrong in every token must not undo the others' work."""
OUT_OF_MEMORY = "allocate memory"
"""torch has no class of error for main memory: https://github.com/pytorch/pytorch/issues/75478"""


class Learner:
    """Not for two threads at once."""

    def __init__(self, model: "PreTrainedModel", settings: TuneSettings) -> None:
        import torch

        self.model = add_pairs(model, settings)
        self.pairs = pairs(self.model)
        self._rate = settings.learning_rate
        self._optimiser = torch.optim.AdamW(self.pairs.values(), lr=self._rate, weight_decay=0.0)
        on_card = model.device.type != "cpu"
        self.device = torch.cuda.get_device_name(model.device) if on_card else "cpu"
        """"cpu", or what the graphics card calls itself."""
        self._workers = 1 if on_card else usable_cores()
        self.tokens = GPU_TOKENS if on_card else CPU_TOKENS
        """In a piece, at most; falls where memory is short."""

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "pairs": {name: each.detach() for name, each in self.pairs.items()},
            "optimiser": self._optimiser.state_dict(),
            "tokens": self.tokens,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        import torch

        with torch.no_grad():
            for name, each in self.pairs.items():
                _ = each.copy_(state["pairs"][name])
        self._optimiser.load_state_dict(state["optimiser"])
        self.tokens = state["tokens"]

    def step(self, rows: Sequence[EncodedRow], rate: float) -> float:
        """Learn from the rows at `rate` of the learning rate. Returns the loss before, nats an answer token.

        Raises:
            ConfigError: not even one row fits into memory.
        """
        import torch

        while True:
            try:
                total, grads = self.gradients(rows)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if type(error) is RuntimeError and OUT_OF_MEMORY not in str(error):
                    raise
                self._halve(rows, error)
        answers = sum(len(row.answer) for row in rows)
        for each, grad in zip(self.pairs.values(), grads, strict=True):
            each.grad = grad / answers
        torch.nn.utils.clip_grad_norm_(self.pairs.values(), CLIP)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * rate
        self._optimiser.step()
        return total / answers

    def _halve(self, rows: Sequence[EncodedRow], error: Exception) -> None:
        self.tokens, self._workers = self.tokens // 2, 1
        if self.tokens < max(map(len, rows)) // 2:
            raise ConfigError(
                "there is not enough memory to tune on these rows",
                why=f"one row alone does not fit: {str(error).splitlines()[0]}",
                mend="leave out the longest rows, or use a machine with more memory",
            ) from error

    def gradients(self, rows: Sequence[EncodedRow]) -> "tuple[float, list[Tensor]]":
        """Summed over pieces in their order, whichever ends first: float sums depend on it."""
        import torch

        least = self._workers * PIECES_A_CORE if self._workers > 1 else 1
        pieces = split_batch(rows, self.tokens, least)
        before = torch.get_num_threads()
        if self._workers > 1:
            torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(self._workers) as pool:
                parts = list(pool.map(self._piece, pieces))
        finally:
            torch.set_num_threads(before)
        total, grads = parts[0]
        for loss, more in parts[1:]:
            total += loss
            grads = [mine + other for mine, other in zip(grads, more, strict=True)]
        return total, grads

    def _piece(self, rows: Sequence[EncodedRow]) -> "tuple[float, list[Tensor]]":
        import torch

        loss = answer_loss(self.model, build_stream(rows))
        return loss.detach().item(), list(torch.autograd.grad(loss, list(self.pairs.values())))
