"""The base with LoRA pairs in it, and the loss of a few rows: what a tuning step computes.

transformers gives the architecture and peft the pairs. Three things are computed in our own way, because on
a processor they halve the time of a step (docs/specialists.md has the figures):

- The rows of a step lie in one stream behind their common beginning, which is computed once.
- A frozen matrix and its pair are one operation, in bfloat16; the pairs themselves are kept in float32.
- The vocabulary's scores are computed for the answer's tokens only, some rows at a time, and never kept.
"""

import warnings
from typing import TYPE_CHECKING, Any

from shoal.training.batching import Stream
from shoal.training.tune_settings import Matrices, TuneSettings

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["add_pairs", "answer_loss", "pairs"]

FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
TARGETS: dict[Matrices, tuple[str, ...]] = {
    "feed-forward": FEED_FORWARD,
    "all": ("q_proj", "k_proj", "v_proj", "o_proj", *FEED_FORWARD),
}
ATTENTION = "shoal_stream"
SCORED_AT_ONCE = 128
"""Answer tokens whose scores, 49,152 each for a small model, are in memory together."""


def add_pairs(model: "PreTrainedModel", settings: TuneSettings) -> "PeftModel":
    """`model` with a pair beside the settings' matrices of every layer, drawn from their seed."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    model.set_attn_implementation(ATTENTION)
    targets = list(TARGETS[settings.matrices])
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=targets, bias="none")
    config._register_custom_module({torch.nn.Linear: _fused_linear()})  # noqa: SLF001 (documented by peft)
    torch.manual_seed(settings.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in a way the latter gives up
        tuned = get_peft_model(model, config)
    tuned.train()
    return tuned


def pairs(model: "PeftModel") -> "dict[str, Tensor]":
    """The trained tensors by name, in a fixed order."""
    return {name: each for name, each in sorted(model.named_parameters()) if each.requires_grad}


def answer_loss(model: "PeftModel", stream: Stream) -> "Tensor":
    """Summed over the stream's answer tokens, nats."""
    import torch

    whole: Any = model.get_base_model()
    device = whole.device

    def on_device(values: Any) -> "Tensor":
        return torch.from_numpy(values).to(device)

    states = whole.model(
        input_ids=on_device(stream.tokens)[None],
        position_ids=on_device(stream.positions)[None],
        use_cache=False,
        stream=stream,
    ).last_hidden_state
    scored = states[0].index_select(0, on_device(stream.scored))
    return _cross_entropy()(scored, whole.lm_head.weight, on_device(stream.targets))


def _attend(
    _module: Any,
    query: "Tensor",
    key: "Tensor",
    value: "Tensor",
    attention_mask: object,
    *,
    scaling: float,
    stream: Stream,
    **_: object,
) -> "tuple[Tensor, None]":
    """Each row sees the common beginning and itself.

    In (1, heads, tokens, size), with fewer heads for key and value; out (1, tokens, heads, size).
    """
    import torch

    del attention_mask
    heads, size = query.shape[1], query.shape[3]
    groups, first, rows, longest = key.shape[1], stream.shared, stream.rows, stream.longest
    q0, q1 = query[0].split([first, rows * longest], 1)
    k0, k1 = key[0].split([first, rows * longest], 1)
    v0, v1 = value[0].split([first, rows * longest], 1)
    several = heads // groups
    begun = _mix(q0.reshape(groups, several, first, size), k0, v0, _causal(first, 0, query), scaling)
    q1 = q1.reshape(groups, several, rows, longest, size).transpose(1, 2).flatten(0, 1)
    k1, v1 = (
        torch.cat([start[:, None].expand(-1, rows, -1, -1), own.unflatten(1, (rows, longest))], 2)
        for start, own in ((k0, k1), (v0, v1))
    )
    own = _mix(q1, k1.flatten(0, 1), v1.flatten(0, 1), _causal(longest, first, query), scaling)
    own = own.unflatten(0, (groups, rows)).permute(1, 3, 0, 2, 4).reshape(rows * longest, heads, size)
    begun = begun.permute(2, 0, 1, 3).reshape(first, heads, size)
    return torch.cat([begun, own])[None], None


def _causal(tokens: int, before: int, like: "Tensor") -> "Tensor":
    """(tokens, before + tokens): what each may not see."""
    import torch

    return torch.ones(tokens, before + tokens, dtype=torch.bool, device=like.device).triu(before + 1)


def _mix(query: "Tensor", key: "Tensor", value: "Tensor", hidden: "Tensor", scaling: float) -> "Tensor":
    """Attention of (n, several, tokens, size) to (n, seen, size): several query heads share a key."""
    import torch

    several, tokens = query.shape[1], query.shape[2]
    scores = torch.bmm(query.flatten(1, 2) * scaling, key.transpose(1, 2)).unflatten(1, (several, tokens))
    share = scores.masked_fill(hidden, -torch.inf).softmax(-1)
    return torch.bmm(share.flatten(1, 2), value).unflatten(1, (several, tokens))


def _fused_linear() -> Any:
    """Peft's LoRA layer with its matrix and its pair computed as one."""
    from peft.tuners.lora import Linear

    function = _pair_function()

    class FusedLinear(Linear):
        def forward(self, x: "Tensor", *_args: Any, **_kwargs: Any) -> "Tensor":
            name = self.active_adapters[0]
            return function.apply(
                x,
                self.base_layer.weight,
                self.lora_A[name].weight,
                self.lora_B[name].weight,
                self.scaling[name],
            )

    return FusedLinear


def _pair_function() -> Any:
    import torch

    class Pair(torch.autograd.Function):
        """X W' + scale (x A') B', with the gradients of x, A and B."""

        @staticmethod
        def forward(
            ctx: Any, x: "Tensor", weight: "Tensor", a: "Tensor", b: "Tensor", scale: float
        ) -> "Tensor":
            flat = x.flatten(0, -2)
            a, b = a.to(x.dtype), (b * scale).to(x.dtype)
            small = flat @ a.T
            out = (flat @ weight.T).addmm_(small, b.T)
            ctx.save_for_backward(flat, weight, a, b, small)
            ctx.scale = scale
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, *grads: "Tensor") -> "tuple[Tensor | None, None, Tensor, Tensor, None]":
            flat, weight, a, b, small = ctx.saved_tensors
            grad = grads[0].flatten(0, -2)
            inner = grad @ b
            back = None
            if ctx.needs_input_grad[0]:
                back = (grad @ weight).addmm_(inner, a).view(*grads[0].shape[:-1], -1)
            return back, None, (inner.T @ flat).float(), (grad.T @ small).float() * ctx.scale, None

    return Pair


def _cross_entropy() -> Any:
    import torch

    class CrossEntropy(torch.autograd.Function):
        """Summed; the gradient is computed beside the loss, so that no row of scores outlives its block."""

        @staticmethod
        def forward(ctx: Any, states: "Tensor", weight: "Tensor", targets: "Tensor") -> "Tensor":
            most = min(SCORED_AT_ONCE, len(states))
            # Used again for every block: fresh memory of this size costs more than what is computed in it.
            scores = states.new_empty(most, len(weight))
            shares = torch.empty(most, len(weight), device=states.device)
            total, grads = torch.zeros((), device=states.device), list["Tensor"]()
            for at in range(0, len(states), most):
                wanted = targets[at : at + most, None]
                some = slice(0, len(wanted))
                torch.mm(states[at : at + most], weight.T, out=scores[some])
                torch.softmax(scores[some], 1, dtype=torch.float32, out=shares[some])
                total -= shares[some].gather(1, wanted).clamp_min(1e-30).log().sum()
                shares[some].scatter_add_(1, wanted, torch.full_like(wanted, -1.0, dtype=torch.float32))
                grads.append(scores[some].copy_(shares[some]) @ weight)
            ctx.save_for_backward(torch.cat(grads))
            return total

        @staticmethod
        def backward(ctx: Any, *grads: "Tensor") -> "tuple[Tensor, None, None]":
            (states,) = ctx.saved_tensors
            return states * grads[0].to(states.dtype), None, None

    return CrossEntropy.apply
