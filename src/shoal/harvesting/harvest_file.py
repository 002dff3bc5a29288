"""Harvested rows to a file: agreed to by a person, scrubbed, written beside a header that says all of it.

The ledger keeps the same as a run of the team "harvest": who agreed, when, to what, and what came of it.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shoal.core.errors import ConfigError, InputError, ShoalError, StorageError
from shoal.harvesting.distil import CleanText
from shoal.harvesting.harvest import FORBIDDEN, Harvest, HarvestRow, harvest_thread
from shoal.harvesting.scrub import SPOTTED, Scrubbed, ScrubReport, Spotter, scrub
from shoal.router.example import text_key
from shoal.tracing.ledger import Ledger
from shoal.tracing.record import RunRow, StepRow, new_id

__all__ = [
    "TEAM",
    "Agreement",
    "HarvestFile",
    "agree",
    "check_free",
    "meta_path",
    "scrub_rows",
    "scrub_texts",
    "write_harvest",
]

TEAM = "harvest"
"""Whose runs they are, in the ledger."""
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A person's consent, in the ledger already."""

    who: str
    what: str
    at: float
    """Seconds since 1970."""
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestFile:
    """What was written."""

    path: str
    rows: int
    sha256: str
    scrubbed: ScrubReport


async def agree(ledger: Ledger, *, agent: str, who: str | None, what: str) -> Agreement:
    """Begin a harvest: the consent is in the ledger before anything else happens.

    Raises:
        ConfigError: nobody agreed.
        StorageError: the ledger cannot be written.
    """
    if who is None or not who.strip():
        raise ConfigError(
            "nothing is harvested without a person's consent",
            why=f"somebody has to answer for this: {what}",
            mend=f'shoal harvest {agent} --consent "NAME"',
        )
    now = time.time()
    run_id = new_id()
    reason = f"{who.strip()} agreed that {what}."
    await ledger.begin_run(
        RunRow(
            id=run_id,
            team=TEAM,
            input=reason,
            status="running",
            started_at=now,
            thread_id=harvest_thread(agent),
        )
    )
    await ledger.begin_step(
        StepRow(
            id=new_id(),
            run_id=run_id,
            node="consent",
            started_at=now,
            ended_at=now,
            latency_s=0.0,
            input=what,
            action="accept",
            reason=reason,
        )
    )
    return Agreement(who=who.strip(), what=what, at=now, run_id=run_id)


async def scrub_rows(
    harvest: Harvest, *, spotter: Spotter | None = None, spotter_name: str = "", keep: Collection[str] = ()
) -> tuple[list[dict[str, Any]], ScrubReport]:
    """The rows as they may be written; those that cannot be scrubbed are counted in `harvest.left_out`.

    A row that the spotter failed on is not written: nobody knows who is named in it.
    """
    report = ScrubReport(spotter=spotter_name if spotter else None)
    written: list[dict[str, Any]] = []
    for row in harvest.rows:
        try:
            words = await spotter(row.input) if spotter else ()
        except ShoalError as error:
            harvest.left_out[f"{spotter_name} could not read it: {error.what}"] += 1
            continue
        found = scrub(
            row.input,
            _rest(row),
            key=row.step_id,
            spotted=[(kind, value) for kind, value in words if kind in SPOTTED],
            keep=keep,
        )
        if isinstance(found, Scrubbed):
            report.add(found)
            written.append({"input": found.input, **found.rest, "source": row.source})
        else:
            harvest.left_out[found.reason] += 1
    return written, report


async def scrub_texts(
    texts: Sequence[str],
    *,
    denied: Collection[str] = (),
    spotter: Spotter | None = None,
    keep: Collection[str] = (),
) -> tuple[list[CleanText], Counter[str]]:
    """Texts as they may be shown to the large model, and why some may not, in numbers.

    Args:
        texts: as people wrote them.
        denied: `text_key`s of those that a person did not let go to the large model.
        spotter: finds names and addresses.
        keep: values that are nobody's secret.
    """
    clean: list[CleanText] = []
    left_out: Counter[str] = Counter()
    # A text keeps its number when another one is denied: under it, it may have been scrubbed and sent before.
    for number, text in enumerate(texts, start=1):
        if text_key(text) in denied:
            left_out[FORBIDDEN] += 1
            continue
        row = HarvestRow(input=text, expected=None, source="labelled", run_id="", step_id=f"text {number}")
        harvest = Harvest(rows=(row,))
        rows, _ = await scrub_rows(harvest, spotter=spotter, spotter_name="the spotter", keep=keep)
        clean += [CleanText(text=each["input"], raw=text) for each in rows]
        left_out.update(harvest.left_out)
    return clean, left_out


def write_harvest(
    path: Path,
    rows: Sequence[dict[str, Any]],
    *,
    agent: str,
    harvest: Harvest,
    scrubbed: ScrubReport,
    agreement: Agreement,
) -> HarvestFile:
    """Write the rows and the header `PATH.meta.json`, for their owner only; whole or not at all.

    Raises:
        InputError: there is nothing to write.
        StorageError: a file is there already, or cannot be written.
    """
    check_any(rows, agent, harvest)
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    data = lines.encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(data).hexdigest()
    meta = {
        "format": FORMAT,
        "agent": agent,
        "rows": len(rows),
        "sha256": digest,
        "consent": asdict(agreement),
        "sources": dict(Counter(row["source"] for row in rows)),
        "scrubbed": {
            "rows_changed": scrubbed.rows_changed,
            "replaced": dict(scrubbed.replaced),
            "spotter": scrubbed.spotter,
        },
        "left_out": dict(harvest.left_out),
        "duplicates": harvest.duplicates,
        "overruled": harvest.overruled,
        "contradictions": [list(each.answers[0][:1]) for each in harvest.contradictions],
        "notes": list(harvest.notes),
    }
    check_free(path)
    _write(meta_path(path), json.dumps(meta, ensure_ascii=False, indent=2).encode("utf-8", "replace"))
    _write(path, data)
    return HarvestFile(path=str(path), rows=len(rows), sha256=digest, scrubbed=scrubbed)


def check_free(path: Path) -> None:
    """Refuse a place where something is.

    Raises:
        StorageError: rows or their header are there already.
    """
    for place in (path, meta_path(path)):
        if place.exists():
            raise StorageError(
                f"{place} is there already", why="rows are not written over", mend="--out ANOTHER.jsonl"
            )


def check_any(rows: Sequence[object], agent: str, harvest: Harvest) -> None:
    """Refuse to go on with nothing.

    Raises:
        InputError: there are no rows; says why.
    """
    if not rows:
        raise InputError(
            f"there are no rows for {agent}",
            why="; ".join(_reasons(harvest.left_out)) or "it has answered nothing yet",
            mend="shoal correct RUN ANSWER, or a lower --min-confidence",
        )


def meta_path(path: Path) -> Path:
    """Where the header of a file of rows is."""
    return path.with_name(f"{path.name}.meta.json")


def _rest(row: HarvestRow) -> dict[str, Any]:
    """What is written of a row besides its input."""
    rest: dict[str, Any] = {"expected": row.expected}
    if row.rationale is not None:
        rest["rationale"] = row.rationale
    if row.samples:
        rest["samples"] = list(row.samples)
    return rest


def _reasons(left_out: Counter[str]) -> list[str]:
    return [f"{times} left out: {reason}" for reason, times in left_out.most_common()]


def _write(path: Path, data: bytes) -> None:
    """First under another name: a file of this name is a whole one."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            part.unlink()
        part.touch(mode=0o600)
        with part.open("wb") as file:
            _ = file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _ = part.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}", why=error.strerror or str(error), mend="--out ANOTHER.jsonl"
        ) from error
