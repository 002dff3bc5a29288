"""LoRA tuning of a served GGUF. The body lands next; the signature is settled."""

from collections.abc import Sequence
from pathlib import Path

from shoal.core.errors import ConfigError
from shoal.training.tune_settings import Tuned, TuneProgress, TuneReport, TuneRow, TuneSettings

__all__ = ["TuneProgress", "TuneReport", "TuneRow", "TuneSettings", "Tuned", "tune"]


def tune(
    rows: Sequence[TuneRow],
    base: Path,
    work: Path,
    settings: TuneSettings,
    progress: TuneReport | None = None,
) -> Tuned:
    """Train an adapter for `base` (a GGUF as served) in `work`, resuming what an earlier call left there.

    Blocks for minutes to an hour, on all usable cores or one graphics card: call it from a thread.

    Raises:
        ConfigError: torch, transformers, peft or gguf is missing; there are no rows; what `work` holds was
            begun with other rows, settings or another base.
        ModelMissing: there is no such base.
        StorageDamaged: the base is no GGUF, or is cut short.
        StorageLocked: another tuning runs in `work`.
        StorageError: the disk is full or read-only; calling again resumes.
    """
    raise ConfigError(
        "tuning is not available yet", why=f"{len(rows)} rows for {base} in {work}: {settings}, {progress}"
    )
