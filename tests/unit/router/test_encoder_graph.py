"""The rewritten graph against the packaged one, both run by ONNX Runtime."""

import re
from io import BytesIO

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from shoal.retrieval.embedder import CLS, SEP, session_options, verified_weights
from shoal.router.encoder import HIDDEN, LAYERS, LayeredMiniLM
from shoal.router.encoder_graph import rewrite_graph
from shoal.router.tuning import Tuning

TEXT = "where is my parcel, and who pays for the repair of the red bike?"
WINDOWS = [[CLS, *range(2000, 2000 + 37 * length, 37), SEP] for length in (0, 1, 2, 3, 7, 14, 40, 120)]
LAST = "last_hidden_state"


def packaged() -> bytes:
    return verified_weights().read_bytes()


def rewritten(model: bytes, *more: str) -> bytes:
    return b"".join(rewrite_graph(model, (*LAYERS, *more)))


def matrices(model: bytes) -> list[str]:
    """Names of the floats that the file makes of its int8 matrices."""
    return [name.decode() for name in re.findall(rb"(val_\d+)_q\x4a", model)]


def run(model: bytes, window: list[int], *outputs: str) -> list[NDArray[np.float32]]:
    ids = np.array([window], np.int64)
    session = onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return [output[0] for output in session.run(list(outputs), feed)]


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of the means over tokens."""
    a, b = one.mean(axis=0), other.mean(axis=0)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def without_its_last_matrix() -> Tuning:
    model = packaged()
    *_, found = re.finditer(rb"val_\d+_q\x4a\x80\x80\x24", model)
    size = 4 * HIDDEN * HIDDEN
    return Tuning(np.array([found.end()]), np.array([size]), np.zeros(size, np.uint8))


@pytest.mark.parametrize("window", WINDOWS, ids=len)
def test_every_layer_stays_close_to_the_packaged_graphs(window: list[int]) -> None:
    model = packaged()
    floats = rewritten(model, *matrices(model))  # a matrix that is asked for is left to be made and used
    assert np.array_equal(run(model, window, LAST)[0], run(floats, window, LAST)[0])
    start, *above = zip(run(rewritten(model), window, *LAYERS), run(floats, window, *LAYERS), strict=True)
    assert np.array_equal(*start)
    assert min(cosine(*layer) for layer in above) > 0.997


def test_a_tuned_matrix_is_what_is_served() -> None:
    tuning, file = without_its_last_matrix(), BytesIO(packaged())
    tuning.write_over(file)
    window = WINDOWS[5]
    untuned, tuned = (run(model, window, LAST)[0] for model in (packaged(), file.getvalue()))
    assert cosine(untuned, tuned) < 0.9
    assert cosine(run(rewritten(file.getvalue()), window, LAST)[0], tuned) > 0.997
    before, after = (encoder.encode([TEXT])[0] for encoder in (LayeredMiniLM(), LayeredMiniLM(tuning)))
    assert np.array_equal(before[: 2 * HIDDEN], after[: 2 * HIDDEN])
    assert not np.allclose(before, after, atol=1e-2)


def test_most_of_the_file_is_int8_still() -> None:
    model = packaged()
    assert len(matrices(model)) == 36
    assert rewritten(model).count(b"MatMulNBits") == 36
    assert len(rewritten(model)) < 1.05 * len(model)


def test_a_file_in_which_nothing_is_as_expected_stays_as_it_is() -> None:
    once = rewritten(packaged())  # holds no Cast of a weight, no Mul of one by its scales
    assert rewritten(once) == once


def test_weights_of_another_type_stay_as_they_are() -> None:
    """Of unsigned numbers, as it happens: the same bytes mean something else."""
    model = packaged()
    table = b"inner.embeddings.word_embeddings.weight_q"
    signed = b"\x10\x03\x42" + bytes([len(table)]) + table
    assert signed in model
    unsigned = model.replace(signed, signed.replace(b"\x03", b"\x02", 1))
    window = WINDOWS[4]
    kept = rewritten(unsigned, *matrices(model))
    assert np.array_equal(run(unsigned, window, LAST)[0], run(kept, window, LAST)[0])
