"""A served GGUF as a model that can be tuned: its own numbers, dequantised, and its own tokenizer.

The quantised file and not the original: an adapter then meets in training the very weights it will be served
with, and repairs what quantisation cost on the way.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.training.batching import EncodedRow
from shoal.training.gguf_file import field_value, open_gguf
from shoal.training.tune_settings import TuneRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["RowEncoder", "load_model"]

MARK = "=answer="
SPLITS_DIGITS = {"smollm"}
"""Values of tokenizer.ggml.pre that part digits before anything else. transformers reads the vocabulary of a
GGUF but not this field, and would put a space before a number into one token with other spaces."""


class RowEncoder:
    """Rows as tokens: the prompt as the engine will be served it, the answer as it shall be given."""

    def __init__(self, gguf: Path) -> None:
        """Read the tokenizer and the chat template of `gguf`.

        Raises:
            ModelMissing: there is no such file.
            StorageDamaged: it is no GGUF, or ends too early.
        """
        from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
        from transformers import AutoTokenizer

        pre = field_value(open_gguf(gguf), "tokenizer.ggml.pre")
        self.tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        if pre in SPLITS_DIGITS:
            parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
            self.tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)
        self._end_of_turn = find_end_of_turn(self.tokenizer)

    def encode(self, row: TuneRow) -> EncodedRow:
        """The end of the turn is part of the answer."""
        turns = [{"role": message.role, "content": message.content} for message in row.messages]
        prompt = str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        ids: list[list[int]] = self.tokenizer([prompt, row.answer], add_special_tokens=False)["input_ids"]
        return EncodedRow(tuple(ids[0]), (*ids[1], self._end_of_turn))


def find_end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """What the chat template writes after an answer; the end of a text where it writes nothing."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
    _, _, after = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(MARK)
    ids: list[int] = tokenizer(after.strip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids else tokenizer.eos_token_id


def load_model(gguf: Path) -> "PreTrainedModel":
    """The weights in bfloat16, frozen, on the graphics card if torch finds one. Takes some ten seconds."""
    import torch
    from transformers import AutoModelForCausalLM

    with _quiet():
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    model.requires_grad_(requires_grad=False)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _quiet() -> Generator[None]:
    """Keep its own bars and advice off stderr, where the progress of the tuning stands."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
