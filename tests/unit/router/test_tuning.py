"""Routers with an encoder of their own: how it is judged, kept and refused. The tunings are made up."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.core.errors import ConfigError, StorageDamaged
from shoal.retrieval.embedder import verified_weights
from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM
from shoal.router.tuning import Tuning

WANTS = ("where is", "please cancel", "how much is", "who made", "I like", "nobody needs")
THINGS = ("my parcel", "the red bike", "a cup of tea", "this old lamp", "her blue hat")
AGENTS = ("orders", "shop", "prices", "makers", "praise")
EXAMPLES = [
    (f"{want} {thing}{end}", agent)
    for want, agent in zip(WANTS, (*AGENTS, None), strict=True)
    for thing in THINGS
    for end in ("", " today")
]
JOBS = {agent: f"Answers questions about {agent}." for agent in AGENTS}


def turned(size: float) -> Tuning:
    """MiniLM with `size` added to the offsets of its last norm: another place for every sentence."""
    name = b"inner.encoder.layer.5.output.LayerNorm.bias"
    field = name + b"\x4a\x80\x0c"  # its numbers follow in field 9, 1,536 bytes of them
    weights = verified_weights().read_bytes()
    at = weights.index(field) + len(field)
    offsets = np.frombuffer(weights[at : at + 1536], np.float32) + np.linspace(-size, size, 384)
    content = np.frombuffer(offsets.astype(np.float32).tobytes(), np.uint8)
    return Tuning(np.array([at]), np.array([1536]), content)


class MadeUpTuner:
    """Keeps what it was asked for; every part gets a tuning of its own."""

    def __init__(self) -> None:
        self.texts: Sequence[str] = ()
        self.labels = np.empty(0, np.intp)
        self.parts: Sequence[NDArray[np.bool_]] = ()

    def tune(
        self,
        texts: Sequence[str],
        labels: NDArray[np.intp],
        parts: Sequence[NDArray[np.bool_]],
        *,
        seed: int,
    ) -> list[Tuning]:
        self.texts, self.labels, self.parts = texts, labels, parts
        return [turned(1.0 + 0.01 * part) for part in range(len(parts))]


def test_pieces_go_where_they_belong() -> None:
    file = BytesIO(b"0123456789")
    tuning = Tuning(np.array([1, 7]), np.array([2, 1]), np.frombuffer(b"abc", np.uint8))
    tuning.write_over(file)
    assert file.getvalue() == b"0ab3456c89"


def test_a_tuning_moves_the_last_layer_and_no_other() -> None:
    packaged, tuned = LayeredMiniLM(), LayeredMiniLM(turned(1.0))
    before, after = packaged.encode(["where is it?"])[0], tuned.encode(["where is it?"])[0]
    assert np.array_equal(before[:768], after[:768])
    assert not np.allclose(before[768:], after[768:], atol=1e-2)
    assert packaged.id != tuned.id
    assert tuned.id != LayeredMiniLM(turned(1.1)).id


def test_a_router_is_judged_on_rows_that_its_encoders_were_not_tuned_on() -> None:
    tuner = MadeUpTuner()
    _ = Router.fit(EXAMPLES, jobs=JOBS, tuner=tuner)
    whole, *partial = tuner.parts
    assert whole.all()
    left_out = np.stack([~part for part in partial])
    assert (left_out.sum(axis=0) == ([1] * len(EXAMPLES) + [0] * len(JOBS))).all()
    assert {label for label in tuner.labels.tolist() if label < 0} == {-1}
    assert [t for t, label in zip(tuner.texts, tuner.labels, strict=True) if label < 0] == sorted(
        text for text, agent in EXAMPLES if agent is None
    )


def test_enough_rows_that_were_held_out_need_no_folds() -> None:
    tuner = MadeUpTuner()
    held = [(f"{text} number {i}", agent) for text, agent in EXAMPLES for i in range(10)]
    _ = Router.fit(EXAMPLES, validation=held, tuner=tuner)
    assert len(tuner.parts) == 1


def test_any_number_of_rows_that_are_nobodys_stands_in_for_no_fold() -> None:
    tuner = MadeUpTuner()
    _ = Router.fit(EXAMPLES, validation=[(f"stranger {i}", None) for i in range(510)], tuner=tuner)
    assert len(tuner.parts) > 1


def test_a_tuned_router_comes_back_with_its_encoder(tmp_path: Path) -> None:
    fitted = Router.fit(EXAMPLES, tuner=MadeUpTuner())
    fitted.save(tmp_path)
    loaded = Router.load(tmp_path)
    for text, _ in EXAMPLES[::7]:
        assert loaded.decide(text) == fitted.decide(text)
    with pytest.raises(StorageDamaged, match="does not hold a router"):
        _ = Router.load(tmp_path, encoder=LayeredMiniLM())


def test_a_router_saved_over_a_tuned_one_leaves_nothing_of_it(tmp_path: Path) -> None:
    Router.fit(EXAMPLES, tuner=MadeUpTuner()).save(tmp_path)
    plain = Router.fit(EXAMPLES)
    plain.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.npz", "examples.jsonl", "router.json"]
    assert Router.load(tmp_path).decide("where is my parcel") == plain.decide("where is my parcel")


def test_a_damaged_encoder_is_refused(tmp_path: Path) -> None:
    Router.fit(EXAMPLES, tuner=MadeUpTuner()).save(tmp_path)
    path = tmp_path / "encoder.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageDamaged) as caught:
        _ = Router.load(tmp_path)
    assert "encoder.npz is not what was written" in caught.value.why


def test_an_encoder_of_ones_own_cannot_be_tuned() -> None:
    with pytest.raises(ConfigError, match="built-in encoder"):
        _ = Router.fit(EXAMPLES, encoder=LayeredMiniLM(), tuner=MadeUpTuner())
