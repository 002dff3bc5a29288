"""Fine-tuning of the router's encoder: texts of one agent closer together, those of different agents apart.

Supervised contrastive learning (Khosla et al. 2020) of MiniLM's upper three layers. The lower half stays as
packaged and runs once a text; the router reads it beside the upper one, so that what tuning forgets is not
lost. One recipe for every set of examples, measured in docs/fine-tuning.md.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import ConfigError
from shoal.retrieval.embedder import verified_weights
from shoal.router.encoder import HIDDEN, LayeredMiniLM
from shoal.router.tuning import Tuning
from shoal.training.minilm import pooled, read_upper, write_upper

if TYPE_CHECKING:
    import torch

__all__ = ["ContrastiveTuner"]

BATCH = 64
OF_ONE_CLASS = 2
"""Rows of a class that go into a batch together: a row alone would have nothing to come closer to."""
TEMPERATURE = 0.1
LEARNING_RATE = 1e-4
DEEPER = 0.9
"""Share of the learning rate that each layer further down gets: it knows more that is of general use."""
WARM_UP = 0.1
"""Share of the steps in which the rate rises; in the others it falls to nothing."""
TEXTS, PASSES = 8_000, 30
"""Texts read beyond one pass over the rows, and passes at most."""
TOKENS = 64
"""Read of each text while tuning."""

Progress = Callable[[int, int], None]
"""Called with texts read and texts in all."""
States = list[NDArray[np.float16]]


class ContrastiveTuner:
    """See `Tuner`. One thread a tuning, several side by side: as many cores give the same numbers."""

    def __init__(self, progress: Progress | None = None) -> None:
        """`progress` is called from several threads.

        Raises:
            ConfigError: the extra `train` is not installed.
        """
        if missing := [name for name in ("torch", "onnx") if find_spec(name) is None]:
            raise ConfigError(
                "fine-tuning needs packages that are not installed",
                why=f"there is no {' and no '.join(missing)} here",
                mend="pip install 'shoal[train]'",
            )
        self._progress = progress

    def tune(
        self,
        texts: Sequence[str],
        labels: NDArray[np.intp],
        parts: Sequence[NDArray[np.bool_]],
        *,
        seed: int,
    ) -> list[Tuning]:
        """See `Tuner.tune`.

        Raises:
            ConfigError: a part has fewer than two agents with two examples: nothing to learn from.
        """
        import torch

        used = [np.flatnonzero(part & (labels >= 0)) for part in parts]
        for rows in used:
            _check(labels[rows])
        packaged = LayeredMiniLM(threads=1)
        states = [packaged.halfway(text, tokens=TOKENS).astype(np.float16) for text in texts]
        weights = verified_weights().read_bytes()
        total, done = sum(_steps(len(rows)) * BATCH for rows in used), count(BATCH, BATCH)

        def tune_one(rows: NDArray[np.intp]) -> Tuning:
            def step() -> None:
                read = next(done)
                if self._progress:
                    self._progress(read, total)

            return _tune([states[row] for row in rows], labels[rows], weights, seed, step)

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                return list(pool.map(tune_one, used))
        finally:
            torch.set_num_threads(before)


def _check(labels: NDArray[np.intp]) -> None:
    pairs = int((np.unique_counts(labels).counts >= OF_ONE_CLASS).sum())
    if pairs < 2:
        raise ConfigError(
            "too few examples to fine-tune on",
            why=f"{pairs} agents have {OF_ONE_CLASS} examples or more; two are needed",
            mend="fit without --fine-tune, or give more examples",
        )


def _steps(rows: int) -> int:
    return max(1, min(TEXTS + rows, PASSES * rows) // BATCH)


def _tune(
    states: States, labels: NDArray[np.intp], weights: bytes, seed: int, step: Callable[[], None]
) -> Tuning:
    import torch

    random = np.random.default_rng(seed)
    upper, steps = read_upper(weights), _steps(len(labels))
    depth = len(upper) - 1
    groups = [
        {"params": list(layer.parameters()), "lr": LEARNING_RATE * DEEPER ** (depth - i)}
        for i, layer in enumerate(upper)
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda at: min((at + 1) / max(1.0, WARM_UP * steps), 1.0) * (1 - at / steps)
    )
    queue: list[NDArray[np.intp]] = []
    for _ in range(steps):
        queue = queue or _batches(labels, random)
        rows = queue.pop()
        vectors = pooled(upper, *_padded([states[row] for row in rows]))
        loss = _contrastive_loss(vectors, torch.from_numpy(labels[rows]))
        optimiser.zero_grad()
        _ = loss.backward()
        _ = optimiser.step()
        schedule.step()
        step()
    return write_upper(upper, weights)


def _batches(labels: NDArray[np.intp], random: np.random.Generator) -> list[NDArray[np.intp]]:
    """Every row once, `OF_ONE_CLASS` of a class side by side."""
    groups: list[list[int]] = []
    for which in np.unique(labels):
        members: list[int] = random.permutation(np.flatnonzero(labels == which)).tolist()
        groups += [members[at : at + OF_ONE_CLASS] for at in range(0, len(members), OF_ONE_CLASS)]
    shuffled: list[int] = random.permutation(len(groups)).tolist()
    order = [row for which in shuffled for row in groups[which]]
    return [np.array(order[at : at + BATCH], np.intp) for at in range(0, len(order), BATCH)]


def _padded(states: States) -> "tuple[torch.Tensor, torch.Tensor]":
    """(n, tokens, 384), and (n, tokens): True where there is no token."""
    import torch

    longest = max(map(len, states))
    whole, padding = (
        np.zeros((len(states), longest, HIDDEN), np.float32),
        np.ones((len(states), longest), bool),
    )
    for row, state in enumerate(states):
        whole[row, : len(state)], padding[row, : len(state)] = state, False
    return torch.from_numpy(whole), torch.from_numpy(padding)


def _contrastive_loss(vectors: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Khosla et al. 2020, equation 2: mean over rows, and over what shares their label, of -log softmax."""
    import torch

    itself = torch.eye(len(labels), dtype=torch.bool)
    same = (labels[:, None] == labels[None]) & ~itself
    cosine = (vectors @ vectors.T / TEMPERATURE).masked_fill(itself, -1e9)
    log_share = cosine - torch.logsumexp(cosine, dim=1, keepdim=True)
    together = same.sum(1)
    found = together > 0
    if not bool(found.any()):
        return vectors.sum() * 0
    return -((log_share * same).sum(1)[found] / together[found]).mean()
