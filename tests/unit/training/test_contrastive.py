"""Fine-tuning with torch, on a task where the form of a sentence counts and its topic does not."""

from functools import cache
from importlib.util import find_spec
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.core.errors import ConfigError
from shoal.retrieval.embedder import verified_weights
from shoal.router import Router
from shoal.router.encoder import HIDDEN, LayeredMiniLM
from shoal.router.tuning import Tuning
from shoal.training import ContrastiveTuner

NO_TORCH = find_spec("torch") is None
FORMS = {
    "past": ("we sold {} yesterday", "{} was gone last week", "they had {} in spring"),
    "future": ("we will sell {} tomorrow", "{} will be gone next week", "they shall have {} in spring"),
    "order": ("sell {} now", "let {} go", "get {} this minute"),
    "question": ("do we sell {}?", "is {} gone?", "have they got {}?"),
}
KNOWN = (
    "the red car",
    "our house",
    "this song",
    "the big dog",
    "a warm coat",
    "the bank",
    "my phone",
    "his tea",
)
NEW = ("the old ship", "some flowers", "her wallet", "an engine", "the winter", "a lawyer")
AGENTS = tuple(FORMS)


def rows(things: tuple[str, ...]) -> tuple[list[str], NDArray[np.intp]]:
    found = [
        (form.format(thing), at) for at, a in enumerate(AGENTS) for form, thing in product(FORMS[a], things)
    ]
    return [text for text, _ in found], np.array([at for _, at in found], np.intp)


def right_by_nearest_wording(encoder: LayeredMiniLM) -> float:
    """Share of rows about new things that are nearest, in the last layer, to another wording of their agent.

    The nearest by topic is another agent's.
    """
    vectors = encoder.encode(rows(NEW)[0])[:, -HIDDEN:].astype(np.float32)
    labels, wording = rows(NEW)[1], np.repeat(np.arange(3 * len(AGENTS)), len(NEW))
    cosines = np.where(wording[:, None] == wording, -np.inf, vectors @ vectors.T)
    return float((labels[cosines.argmax(axis=1)] == labels).mean())


@cache
def tuned() -> Tuning:
    return tune(0, KNOWN)


def tune(seed: int, things: tuple[str, ...]) -> Tuning:
    texts, labels = rows(things)
    return ContrastiveTuner().tune(texts, labels, [np.ones(len(texts), np.bool_)], seed=seed)[0]


@pytest.mark.skipif(not NO_TORCH, reason="torch is installed")
def test_without_torch_the_command_that_installs_it_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        _ = ContrastiveTuner()
    assert caught.value.mend == "pip install 'shoal[train]'"


@pytest.mark.train
@pytest.mark.skipif(NO_TORCH, reason="needs torch: make test-train")
class TestWithTorch:
    def test_what_is_learnt_holds_for_new_topics(self) -> None:
        frozen = right_by_nearest_wording(LayeredMiniLM())
        assert right_by_nearest_wording(LayeredMiniLM(tuned())) > frozen + 0.2

    def test_the_same_seed_gives_the_same_bytes(self) -> None:
        first = tune(0, KNOWN[:2])
        assert first.digest == tune(0, KNOWN[:2]).digest
        assert first.digest != tune(1, KNOWN[:2]).digest

    def test_what_onnx_serves_is_what_torch_learnt(self) -> None:
        import torch

        from shoal.training.minilm import pooled, read_upper

        tuning, file = tuned(), BytesIO(verified_weights().read_bytes())
        tuning.write_over(file)
        upper = read_upper(file.getvalue())
        for text in ("we sold an engine yesterday", "ok", "一 two  THREE! " * 20):
            states = LayeredMiniLM().halfway(text, tokens=256)
            padding = torch.from_numpy(np.zeros((1, len(states)), np.bool_))
            learnt = pooled(upper, torch.from_numpy(states[None]), padding)[0].detach().numpy()
            served = LayeredMiniLM(tuning).encode([text])[0, -HIDDEN:].astype(np.float32)
            # The engine rounds what it multiplies to 8 bits; torch does not.
            assert served @ learnt / np.linalg.norm(served) > 0.997

    def test_a_file_that_nothing_was_learnt_into_stays_as_it_is(self) -> None:
        from shoal.training.minilm import read_upper, write_upper

        packaged = verified_weights().read_bytes()
        unchanged = LayeredMiniLM(write_upper(read_upper(packaged), packaged))
        texts = rows(NEW)[0][:10]
        assert np.abs(unchanged.encode(texts) - LayeredMiniLM().encode(texts)).max() < 1e-3

    def test_progress_ends_at_all_of_it(self) -> None:
        seen: list[tuple[int, int]] = []
        texts, labels = rows(KNOWN[:2])
        parts = [np.ones(len(texts), np.bool_), labels < 2]
        _ = ContrastiveTuner(lambda done, total: seen.append((done, total))).tune(
            texts, labels, parts, seed=0
        )
        assert max(seen) == (seen[0][1], seen[0][1])
        assert len(seen) * seen[0][0] == seen[0][1]

    def test_too_few_examples_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="too few examples"):
            # Names of one letter say nothing, so that each has its one example alone.
            _ = Router.fit([("where is it", "a"), ("what is it", "b")], tuner=ContrastiveTuner())
