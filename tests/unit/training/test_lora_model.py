"""The loss and gradients of a step, beside those of transformers and peft as they come; on a tiny model."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from shoal.core.errors import ConfigError
from shoal.training.batching import EncodedRow, build_stream
from shoal.training.tune_settings import Matrices, TuneSettings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: make test-train"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
START = (1, 2, 3)
ROWS = [
    EncodedRow((*START, 7, 8, 4), (11, 12, 0)),
    EncodedRow((*START, 9, 4), (13, 0)),
    EncodedRow((*START, 5, 6, 10, 4), (14, 15, 16, 17, 0)),
]
SETTINGS = TuneSettings(rank=2, alpha=4.0, learning_rate=0.01, matrices="all")


def tiny(*, of_type: str = "float32") -> "PreTrainedModel":
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, of_type))
    model.requires_grad_(requires_grad=False)
    return model


def as_they_come(settings: TuneSettings) -> "tuple[Tensor, dict[str, Tensor]]":
    """The loss, each row alone, through transformers' attention and peft's own layers; and its gradients."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.nn import functional

    from shoal.training.lora_model import TARGETS, pairs

    torch.manual_seed(settings.seed)
    targets = list(TARGETS[settings.matrices])
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=targets, bias="none")
    model = get_peft_model(tiny(), config)
    some = pairs(model)
    _stir(some)
    losses = [
        functional.cross_entropy(
            model(input_ids=torch.tensor([row.prompt + row.answer])).logits[0][len(row.prompt) - 1 : -1],
            torch.tensor(row.answer),
            reduction="sum",
        )
        for row in ROWS
    ]
    loss = sum(losses[1:], losses[0])
    grads = torch.autograd.grad(loss, list(some.values()))
    return loss, dict(zip(some, grads, strict=True))


def _stir(some: "dict[str, Tensor]") -> None:
    """Pairs begin with B = 0, where half of the gradients are nothing."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in some.values():
            _ = tensor.normal_(std=0.3)


@pytest.mark.parametrize(("matrices", "adapted"), [("all", 7), ("feed-forward", 3)])
def test_loss_and_gradients_are_those_of_transformers_and_peft(matrices: Matrices, adapted: int) -> None:
    import torch

    from shoal.training.lora_model import add_pairs, answer_loss, pairs

    settings = replace(SETTINGS, matrices=matrices)
    model = add_pairs(tiny(), settings)
    some = pairs(model)
    assert len(some) == 2 * adapted * 2, "two layers, two sides of a pair"
    _stir(some)
    stream = build_stream(ROWS)
    assert stream.shared == len(START)
    loss = answer_loss(model, stream)
    expected, grads = as_they_come(settings)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for (name, wanted), found in zip(
        grads.items(), torch.autograd.grad(loss, list(some.values())), strict=True
    ):
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5), name


def test_a_step_is_the_same_in_any_number_of_pieces() -> None:
    from shoal.training.tune_step import Learner

    def learn(tokens: int) -> "tuple[float, dict[str, Tensor]]":
        learner = Learner(tiny(), SETTINGS)
        learner.tokens = tokens
        return learner.step(ROWS, 1.0), learner.pairs

    (whole, after), (halves, also) = learn(1_000), learn(5)
    assert halves == pytest.approx(whole, rel=1e-5)
    for name, tensor in after.items():
        assert float((tensor - also[name]).mean().item()) == pytest.approx(0, abs=1e-6), name


def test_out_of_memory_a_step_goes_on_in_smaller_pieces() -> None:
    import torch

    from shoal.training.tune_step import Learner

    class SmallMachine(Learner):
        def gradients(self, rows: Sequence[EncodedRow]) -> "tuple[float, list[Tensor]]":
            if self.tokens > self.fits:
                raise torch.OutOfMemoryError("there is no more")
            return super().gradients(rows)

        fits = 600

    learner = SmallMachine(tiny(), SETTINGS)
    assert learner.step(ROWS, 1.0) > 0
    assert learner.tokens == 512
    learner.fits = 2
    with pytest.raises(ConfigError, match="not enough memory"):
        _ = learner.step(ROWS, 1.0)
