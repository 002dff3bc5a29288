"""Texts to the vectors that the router's scorers read: three depths of all-MiniLM-L6-v2, side by side.

A sentence embedding is made for telling topics apart; which words were used, and in what role, is still
plain in the layers below and lost in the last one. Linear heads gain 1 to 3 points from seeing both (Evci et
al. 2022, "Head2Toe"). Not the embedder of retrieval: that one gives the last layer only.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.retrieval.embedder import (
    CLS,
    MAX_TOKENS,
    SEP,
    WEIGHTS_SHA256,
    build_tokenizer,
    session_options,
    verified_weights,
)
from shoal.retrieval.memory import release_freed_memory
from shoal.router.encoder_graph import BLOCK, rewrite_graph
from shoal.router.tuning import Tuning

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

__all__ = ["HIDDEN", "MAX_CHARACTERS", "Encoder", "LayeredMiniLM", "Vectors"]

Vectors = NDArray[np.float16]
MAX_CHARACTERS = 2_000
"""Of longer texts the first and the last half of this are read: what is wanted stands at either end."""
LAYERS = {"layer_norm": 1.0, "layer_norm_6": 1.0, "last_hidden_state": 2.0}
"""Output of the word embeddings, of layer 3 and of layer 6, as the ONNX graph calls them, and their shares of
a squared cosine."""
MIDDLE = "layer_norm_6"
HIDDEN = 384
BATCH = 32
"""Texts of one length that run together. Same vectors to the bit, in three quarters of the time of single
runs."""


class Encoder(Protocol):
    """Texts to vectors."""

    @property
    def id(self) -> str:
        """Changes whenever the vectors would: stored with every router."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(len(texts), width) float16, every row finite and of length 1."""
        ...


class LayeredMiniLM:
    """Mean-pooled hidden states of `LAYERS`, each of length 1, weighted and joined. (n, 1152).

    Runs one text on one core; many texts on all of them. Texts of over `MAX_TOKENS` tokens are read in
    windows whose mean counts. The packaged int8 weights are multiplied as int8 (`encoder_graph`).
    """

    def __init__(self, tuning: Tuning | None = None, *, threads: int | None = None) -> None:
        self._tuning = tuning
        self._threads = threads or os.cpu_count() or 1

    @property
    def id(self) -> str:
        """See `Encoder.id`."""
        tuned = f"/tuned-{self._tuning.digest}" if self._tuning else ""
        return f"all-minilm-l6-v2/layers-0-3-6/int8-{BLOCK}/{WEIGHTS_SHA256[:12]}{tuned}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Encoder.encode`. An empty text gives the vector of the empty sentence.

        Raises:
            StorageDamaged: the weights on disk are not the ones this version was measured with.
        """
        windows = [(row, window) for row, text in enumerate(texts) for window in self._windows(text)]
        windows.sort(key=lambda item: len(item[1]))  # stable: equal texts, equal batches
        sums = np.zeros((len(texts), len(LAYERS), HIDDEN), np.float32)
        for batch, pooled in zip(batches := _batches(windows), self._run_all(batches), strict=True):
            for (row, window), layers in zip(batch, pooled, strict=True):
                # Weighted by length, so that a last window of three tokens does not count like a full one.
                sums[row] += max(1, len(window)) * layers
        shares = np.sqrt(np.array(list(LAYERS.values())) / sum(LAYERS.values()))
        if len(batches) > 1:
            release_freed_memory()  # a hundred megabytes after some hundred texts
        joined = _unit(sums) * shares[:, None].astype(np.float32)
        return joined.reshape(len(texts), len(LAYERS) * HIDDEN).astype(np.float16)

    def halfway(self, text: str, *, tokens: int) -> NDArray[np.float32]:
        """What comes out of layer 3 for a text's beginning, (tokens or fewer, 384): tuning starts there."""
        window = self._windows(text)[0][: tokens - 2]
        return self._session.run([MIDDLE], _feed([window]))[0][0]

    def _windows(self, text: str) -> list[list[int]]:
        ids: list[int] = self._tokenizer.encode(_ends(text), add_special_tokens=False).ids
        body = MAX_TOKENS - 2
        return [ids[i : i + body] for i in range(0, len(ids), body)] or [[]]

    def _run_all(self, batches: list[list[tuple[int, list[int]]]]) -> list[NDArray[np.float32]]:
        if len(batches) < 2 or self._threads == 1:
            return [self._run(batch) for batch in batches]
        _ = self._session  # built once, before the threads need it
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self._run, batches))

    def _run(self, batch: list[tuple[int, list[int]]]) -> NDArray[np.float32]:
        hidden = self._session.run(list(LAYERS), _feed([window for _, window in batch]))
        return _unit(np.stack([layer.mean(axis=1) for layer in hidden], axis=1))

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        return build_tokenizer()

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        import onnxruntime

        # By way of a file: read from bytes, the model would stand in memory twice while it loads.
        with TemporaryDirectory(prefix="shoal-") as folder:
            path = Path(folder, "model.onnx")
            self._write_graph(path)
            session = onnxruntime.InferenceSession(
                str(path), session_options(), providers=["CPUExecutionProvider"]
            )
        release_freed_memory()
        return session

    def _write_graph(self, path: Path) -> None:
        packaged = BytesIO(verified_weights().read_bytes())
        if self._tuning:
            self._tuning.write_over(packaged)  # first: its places are the packaged file's
        with path.open("wb") as file:
            file.writelines(rewrite_graph(packaged.getvalue(), tuple(LAYERS)))


def _feed(windows: list[list[int]]) -> dict[str, NDArray[np.int64]]:
    ids = np.array([[CLS, *window, SEP] for window in windows], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


def _batches(windows: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Windows of one length, at most `BATCH` of them, in each."""
    batches: list[list[tuple[int, list[int]]]] = []
    for item in windows:
        if batches and len(batches[-1]) < BATCH and len(batches[-1][0][1]) == len(item[1]):
            batches[-1].append(item)
        else:
            batches.append([item])
    return batches


def _ends(text: str) -> str:
    half = MAX_CHARACTERS // 2
    read = text if len(text) <= MAX_CHARACTERS else f"{text[:half]} {text[-half:]}"
    return read.encode("utf-8", "replace").decode("utf-8")  # JSON can carry half a surrogate pair


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
