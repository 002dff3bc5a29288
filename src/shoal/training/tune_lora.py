"""LoRA tuning of a served GGUF: rows in, an adapter out, by a process that may die at any moment.

Everything that lasts lies in the working folder: `checkpoint.pt` (pairs, optimiser, schedule; the rows' order
follows from the seed), and at the end `adapter.gguf` and `tuned.json`. Only the clock is random: the same
rows, settings and base give the same adapter on the same machine, interrupted or not, unless the budget cuts
steps away.
"""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shoal.core.errors import ConfigError
from shoal.core.file_digest import hash_file
from shoal.training.batching import EncodedRow, plan_batches
from shoal.training.checkpoint import load_checkpoint, load_result, save_checkpoint, save_result, work_lock
from shoal.training.energy_used import EnergyUsed, find_counter
from shoal.training.extra import check_extra
from shoal.training.gguf_adapter import write_adapter
from shoal.training.gguf_base import RowEncoder, load_model
from shoal.training.gguf_file import open_gguf
from shoal.training.schedule import Schedule
from shoal.training.tune_settings import Tuned, TuneProgress, TuneReport, TuneRow, TuneSettings
from shoal.training.tune_step import Learner

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
        ConfigError: torch, transformers, peft or gguf is missing; there are no rows, or one is too long; what
            `work` holds was begun with other rows, settings or another base; there is too little memory for
            a single row.
        ModelMissing: there is no such base.
        StorageDamaged: the base is no GGUF, or is cut short; the checkpoint cannot be read.
        StorageLocked: another tuning runs in `work`.
        StorageError: the disk is full or read-only; calling again resumes.
    """
    check_extra()
    if not rows:
        raise ConfigError("there is nothing to tune on", why="no rows were given")
    _ = open_gguf(base)
    with work_lock(work):
        identity = _identify(rows, base, settings)
        values = load_result(work, identity)
        if values is None or _was_cut_short(values, settings, len(rows)):
            values = _run(rows, base, work, settings, identity, progress)
            save_result(work, identity, values)
    return Tuned(
        adapter=work / ADAPTER,
        settings=settings,
        base_digest=hash_file(base),
        **{name: values[name] for name in REPORTED},
    )


ADAPTER = "adapter.gguf"
MAY_CHANGE = {"budget_minutes", "checkpoint_every_s"}
REPORTED = ("rows", "steps", "seconds", "energy_j", "device", "loss")


def _identify(rows: Sequence[TuneRow], base: Path, settings: TuneSettings) -> str:
    """What must be alike for a tuning to be resumed. The budget may be raised on the way."""
    recipe = {name: value for name, value in asdict(settings).items() if name not in MAY_CHANGE}
    digest = hashlib.sha256(f"{hash_file(base)} {json.dumps(recipe, sort_keys=True)}".encode())
    for row in rows:
        digest.update(json.dumps(asdict(row)).encode())
    return digest.hexdigest()


def _was_cut_short(values: Mapping[str, Any], settings: TuneSettings, rows: int) -> bool:
    """Whether a finished tuning had less time than it wanted, and there is more now: it is done anew."""
    before, now = values["settings"]["budget_minutes"], settings.budget_minutes
    return values["steps"] < settings.steps(rows) and before is not None and (now is None or now > before)


def _run(
    rows: Sequence[TuneRow],
    base: Path,
    work: Path,
    settings: TuneSettings,
    identity: str,
    progress: TuneReport | None,
) -> Mapping[str, Any]:
    encoded = _encode(rows, RowEncoder(base), settings)
    learner = Learner(load_model(base), settings)
    lengths = [len(row) for row in encoded]
    a_pass = len(plan_batches(lengths, settings.batch, (settings.seed, 0)))
    schedule, losses = Schedule(settings.steps(len(rows))), list[float]()
    used_j: float | None = 0.0
    if (state := load_checkpoint(work, identity)) is not None:
        learner.restore(state)
        schedule, losses, used_j = Schedule(**state["schedule"]), state["losses"], state["energy_j"]
    used = EnergyUsed(find_counter(on_card=learner.device != "cpu"), so_far_j=used_j)
    schedule.budget_s = None if settings.budget_minutes is None else 60 * settings.budget_minutes
    saved, order, drawn = time.monotonic(), list[list[int]](), -1
    while not schedule.finished:
        began = time.monotonic()
        if drawn != (which := schedule.done // a_pass):
            order, drawn = plan_batches(lengths, settings.batch, (settings.seed, which)), which
        batch = [encoded[row] for row in order[schedule.done % a_pass]]
        losses.append(learner.step(batch, schedule.rate()))
        schedule.advance(time.monotonic() - began)
        used.update()
        if progress is not None:
            progress(
                TuneProgress(
                    steps_done=schedule.done,
                    steps_planned=schedule.planned,
                    seconds_left=schedule.seconds_left,
                    loss=losses[-1],
                )
            )
        if time.monotonic() - saved > settings.checkpoint_every_s or schedule.finished:
            extent = {"schedule": asdict(schedule), "losses": losses, "energy_j": used.joules}
            save_checkpoint(work, identity, learner.state() | extent)
            saved = time.monotonic()
    write_adapter(learner.pairs, base, work / ADAPTER, settings)
    last = losses[-math.ceil(len(losses) / 10) :]
    return {
        "settings": asdict(settings),
        "base_digest": hash_file(base),
        "rows": len(rows),
        "steps": schedule.done,
        "seconds": round(schedule.seconds, 1),
        "energy_j": used.joules,
        "device": learner.device,
        "loss": sum(last) / len(last),
    }


def _encode(rows: Sequence[TuneRow], encoder: RowEncoder, settings: TuneSettings) -> list[EncodedRow]:
    encoded = [encoder.encode(row) for row in rows]
    longest = max(range(len(encoded)), key=lambda at: len(encoded[at]))
    if len(encoded[longest]) > settings.max_tokens:
        raise ConfigError(
            f"row {longest + 1} has {len(encoded[longest])} tokens, and {settings.max_tokens} are the most",
            why="it would not fit into memory, or into the window the model is served with",
            mend="leave it out, or raise max_tokens",
        )
    return encoded
