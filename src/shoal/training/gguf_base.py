"""A served GGUF as a model that can be tuned: its own numbers, dequantised, and its own tokenizer.

The quantised file and not the original: an adapter then meets in training the very weights it will be served
with, and repairs what quantisation cost on the way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.training.batching import EncodedRow
from shoal.training.extra import check_extra
from shoal.training.gguf_file import field_value, open_gguf
from shoal.training.tune_settings import TuneRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["GgufBase", "find_end_of_turn", "load_base", "load_tokenizer", "pick_device"]

MARK = "=answer="
SPLITS_DIGITS = {"smollm"}
"""Values of tokenizer.ggml.pre that part digits before anything else. transformers reads the vocabulary of a
GGUF but not this field, and would put a space before a number into one token with other spaces."""


@dataclass(frozen=True, slots=True)
class GgufBase:
    model: "PreTrainedModel"
    """bfloat16, frozen, on the device it will be tuned on."""
    tokenizer: "PreTrainedTokenizerBase"
    end_of_turn: int
    """The token with which an answer ends, as the chat template has it."""

    @property
    def device_name(self) -> str:
        """What the graphics card calls itself, or "cpu"."""
        import torch

        device = self.model.device
        return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)

    def encode(self, row: TuneRow) -> EncodedRow:
        """The row as the engine will be served it, and the answer it shall give, end of turn included."""
        turns = [{"role": message.role, "content": message.content} for message in row.messages]
        prompt = str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        ids: list[list[int]] = self.tokenizer([prompt, row.answer], add_special_tokens=False)["input_ids"]
        return EncodedRow(tuple(ids[0]), (*ids[1], self.end_of_turn))


def load_base(gguf: Path, device: str) -> GgufBase:
    """Takes some ten seconds.

    Raises:
        ConfigError: a package of the extra `train` is missing.
        ModelMissing: there is no such file.
        StorageDamaged: it is no GGUF, or ends too early.
    """
    check_extra()
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    tokenizer = load_tokenizer(gguf)
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    model.requires_grad_(requires_grad=False)
    return GgufBase(model.to(device), tokenizer, find_end_of_turn(tokenizer))


def load_tokenizer(gguf: Path) -> "PreTrainedTokenizerBase":
    """The GGUF's tokenizer, with its chat template.

    Raises:
        ModelMissing: there is no such file.
        StorageDamaged: it is no GGUF, or ends too early.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    pre = field_value(open_gguf(gguf), "tokenizer.ggml.pre")
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if pre in SPLITS_DIGITS:
        parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)
    return tokenizer


def find_end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """What the chat template writes after an answer; the end of a text where it writes nothing."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": MARK}]
    _, _, after = str(tokenizer.apply_chat_template(turns, tokenize=False)).rpartition(MARK)
    ids: list[int] = tokenizer(after.strip(), add_special_tokens=False)["input_ids"]
    return ids[0] if ids else tokenizer.eos_token_id


def pick_device() -> str:
    """The graphics card, if torch finds one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
