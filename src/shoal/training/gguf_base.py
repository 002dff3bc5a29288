"""A served GGUF as a model that can be tuned: its own numbers, dequantised, and its own tokenizer.

The quantised file and not the original: an adapter then meets in training the very weights it will be served
with, and repairs what quantisation cost on the way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.core.errors import ModelMissing, StorageDamaged
from shoal.training.batching import EncodedRow
from shoal.training.extra import check_extra
from shoal.training.tune_settings import TuneRow

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["GgufBase", "load_base", "load_tokenizer", "pick_device"]

SPLITS_DIGITS = {"smollm"}
"""Values of tokenizer.ggml.pre that part digits before anything else. transformers reads the vocabulary of a
GGUF but not this field, and would put a space before a number into one token with other spaces."""


@dataclass(frozen=True, slots=True)
class GgufBase:
    model: "PreTrainedModel"
    """bfloat16, frozen, on the device it will be tuned on."""
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def device_name(self) -> str:
        """"cpu", or what the graphics card calls itself."""
        import torch

        device = self.model.device
        return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)

    def encode(self, row: TuneRow) -> EncodedRow:
        """The row as the engine will be served it, and the answer it shall give, end of turn included."""
        turns = [{"role": message.role, "content": message.content} for message in row.messages]
        prompt = str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        ids: list[list[int]] = self.tokenizer([prompt, row.answer], add_special_tokens=False)["input_ids"]
        return EncodedRow(tuple(ids[0]), (*ids[1], self.tokenizer.eos_token_id))


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
    model.requires_grad_(False)
    return GgufBase(model.to(device), tokenizer)


def load_tokenizer(gguf: Path) -> "PreTrainedTokenizerBase":
    """The GGUF's tokenizer, with its chat template.

    Raises:
        ModelMissing: there is no such file.
        StorageDamaged: it is no GGUF, or ends too early.
    """
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer

    if not gguf.is_file():
        raise ModelMissing(f"there is no base {gguf}", why="it was never fetched, or was moved")
    try:
        pre = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    except (ValueError, IndexError) as error:
        raise StorageDamaged(f"{gguf} is not a whole GGUF file", why=str(error)) from error
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if pre is not None and pre.contents() in SPLITS_DIGITS:
        parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)
    return tokenizer


def pick_device() -> str:
    """The graphics card, if torch finds one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
