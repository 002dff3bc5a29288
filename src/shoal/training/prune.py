"""A base without its least useful layers: smaller and faster, and in need of a tuning to heal.

Usefulness of a layer is its block influence (Men et al. 2024, "ShortGPT", arXiv:2403.03853): one minus the
mean cosine between what goes into the layer and what comes out. A layer that hardly turns its input is missed
least. The pruned GGUF is a base of its own, with a digest of its own: adapters of the whole do not fit it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, zip_longest
from pathlib import Path

from shoal.core.errors import ConfigError, StorageError
from shoal.core.file_digest import hash_file
from shoal.training.gguf_base import RowEncoder, load_model
from shoal.training.gguf_file import Stored, copy_fields, field_value, open_gguf, write_gguf
from shoal.training.stage_store import digest_of
from shoal.training.tune_settings import TuneRow

__all__ = ["Pruned", "block_influence", "drop_layers", "keep_pruned", "prune"]

ROWS_READ = 64
"""Whose tokens the influence is averaged over; the order of layers is stable long before."""
BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    base: Path
    """A GGUF like the one given, with fewer layers."""
    dropped: tuple[int, ...]
    """Layers of the base given, from 0, in order."""
    influence: tuple[float, ...]
    """Of every layer of the base given, in [0, 2]."""


def prune(base: Path, rows: Sequence[TuneRow], layers: int, path: Path) -> Pruned:
    """Write to `path` the base without the `layers` that matter least for `rows`. It then needs a tuning.

    Raises:
        ConfigError: there are no rows, or not that many layers to drop: the first and the last stay.
        ModelMissing: there is no such base.
        StorageDamaged: the base is no GGUF, or ends too early.
        StorageError: the disk is full or read-only; what lay at `path` is untouched.
    """
    influence = block_influence(base, rows)
    inner = range(1, len(influence) - 1)
    if not 0 < layers <= len(inner):
        raise ConfigError(
            f"{layers} layers cannot be dropped",
            why=f"there are {len(influence)}, and the first and the last stay",
            mend=f"drop 1 to {len(inner)}",
        )
    dropped = tuple(sorted(sorted(inner, key=lambda layer: influence[layer])[:layers]))
    drop_layers(base, dropped, path)
    return Pruned(base=path, dropped=dropped, influence=influence)


def keep_pruned(base: Path, rows: Sequence[TuneRow], layers: int, folder: Path) -> Path:
    """As `prune`, into a file of `folder` that is named for what it was made of, and made once.

    Raises:
        ConfigError: see `prune`.
        ModelMissing: see `prune`.
        StorageDamaged: see `prune`.
        StorageError: see `prune`.
    """
    some = _some(rows)
    made_of = digest_of(
        hash_file(base), layers, [[asdict(message) for message in row.messages] for row in some]
    )
    path = folder / f"{base.stem}-minus-{layers}-{made_of[-8:]}.gguf"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError("the pruned base cannot be kept", why=str(error)) from error
        prune(base, some, layers, path)
    return path


def block_influence(base: Path, rows: Sequence[TuneRow]) -> tuple[float, ...]:
    """Of every layer, in [0, 2]: 1 - mean cosine of its input and output, over tokens of up to 64 rows.

    Raises:
        ConfigError: there are no rows.
        ModelMissing: there is no such base.
        StorageDamaged: the base is no GGUF, or ends too early.
    """
    import torch
    from torch.nn import functional

    if not rows:
        raise ConfigError("there is nothing to judge layers by", why="no rows were given")
    encoder, model = RowEncoder(base), load_model(base)
    some = _some(rows)
    sums, tokens = list[float](), 0
    with torch.no_grad():
        for row in some:
            encoded = encoder.encode(row)
            ids = torch.tensor([encoded.prompt + encoded.answer]).to(model.device)
            states = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
            turned = [
                float((1 - functional.cosine_similarity(before.float(), after.float(), dim=-1)).sum().item())
                for before, after in pairwise(states)
            ]
            sums = [one + more for one, more in zip_longest(sums, turned, fillvalue=0.0)]
            tokens += len(encoded)
    return tuple(each / tokens for each in sums)


def _some(rows: Sequence[TuneRow]) -> Sequence[TuneRow]:
    return rows[:: max(1, -(-len(rows) // ROWS_READ))]


def drop_layers(base: Path, layers: Sequence[int], path: Path) -> None:
    """Write `base` without these layers, the others numbered anew.

    Raises:
        ModelMissing: there is no such base.
        StorageDamaged: the base is no GGUF, or ends too early.
        StorageError: the disk is full or read-only; what lay at `path` is untouched.
    """
    from gguf import GGUFWriter

    whole = open_gguf(base)
    architecture = field_value(whole, "general.architecture")
    depth = int(field_value(whole, f"{architecture}.block_count"))
    places = {layer: at for at, layer in enumerate(each for each in range(depth) if each not in layers)}
    writer = GGUFWriter(None, architecture)
    copy_fields(whole, writer, {f"{architecture}.block_count": len(places)})

    def left() -> Iterator[Stored]:
        for tensor in whole.tensors:
            found = BLOCK.fullmatch(tensor.name)
            if found is None:
                yield Stored(tensor.name, tensor.data, tensor.tensor_type.name)
            elif int(found[1]) in places:
                name = f"blk.{places[int(found[1])]}.{found[2]}"
                yield Stored(name, tensor.data, tensor.tensor_type.name)

    write_gguf(path, writer, left())
