"""The working folder of one agent's training: who may work there, and what each stage left.

A result is kept with a hash of what it was made from; asked for with another hash, it is not there.
"""

import hashlib
import json
import shutil
from collections.abc import Container, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import StorageError, StorageLocked
from shoal.core.lock import hold

__all__ = ["StageStore", "digest_of"]

LOCK, BEGUN = "training.lock", "begun.json"
ASIDE, FOUND = "before", "found"
"""Folders: what was begun before with something else; and that while it comes back."""
ROOM_BYTES = 500_000_000
"""Of the disk: a checkpoint is written beside the one before it."""


class StageStore:
    """Results by name, each a file of JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self, agent: str) -> Generator[None]:
        """The folder, made where there is none, is this process's alone while the block runs.

        Raises:
            StorageLocked: another training of the agent runs.
            StorageError: the folder cannot be written, or its disk is almost full.
        """

        def refusal(holder: str) -> StorageLocked:
            return StorageLocked(
                f"{agent} is being trained by {holder}",
                why="two trainings would overwrite each other's work",
                mend="wait for it to end, or end it: its work is kept, and the same command goes on there",
            )

        with hold(self.folder / LOCK, refusal):
            free = shutil.disk_usage(self.folder).free
            if free < ROOM_BYTES:
                raise StorageError(
                    f"the disk of {self.folder} is almost full",
                    why=f"{free / 1e6:.0f} MB are free, and checkpoints need up to {ROOM_BYTES / 1e6:.0f}",
                    mend="free some space, or set data_dir in shoal.toml to a folder on another disk",
                )
            yield

    def begin(self, digest: str) -> bool:
        """Say what the training is made of. False = nothing of it was there.

        What was made of something else is put aside, the last one only: hours of work are not lost by a wrong
        option, and the command that they were begun with finds them again. A folder where nothing was said is
        taken as it is: what lies in it is checked by who wrote it.

        Raises:
            StorageError: the folder cannot be written.
        """
        before, aside = self._read(self.folder / BEGUN), self.folder / ASIDE
        known = before is None or before.get("digest") == digest
        if not known:
            kept = self._read(aside / BEGUN)
            known = kept is not None and kept.get("digest") == digest
            try:
                self._put_aside(comes_back=known)
            except OSError as error:
                why = error.strerror or str(error)
                raise StorageError(
                    f"{aside} cannot be written", why=why, mend=f"df -h {aside.parent}"
                ) from error
        self._write(self.folder / BEGUN, {"digest": digest})
        return known

    def _put_aside(self, *, comes_back: bool) -> None:
        aside, found = self.folder / ASIDE, self.folder / FOUND
        if found.exists():
            shutil.rmtree(found)
        if comes_back:
            aside.rename(found)
        elif aside.exists():
            shutil.rmtree(aside)
        aside.mkdir()
        _move_all(self.folder, aside, but={LOCK, ASIDE, FOUND})
        if comes_back:
            _move_all(found, self.folder)
            found.rmdir()

    def load(self, name: str, made_from: str) -> Any:
        """What was saved under this name from the very same things; None = nothing."""
        kept = self._read(self.folder / f"{name}.json")
        return kept["result"] if kept is not None and kept.get("made_from") == made_from else None

    def save(self, name: str, made_from: str, result: Any) -> None:
        """Keep a result, whole or not at all.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._write(self.folder / f"{name}.json", {"made_from": made_from, "result": result})

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None  # not there, or cut off when the process died: it is made again

    def _write(self, path: Path, content: Any) -> None:
        try:
            written = path.with_suffix(".new")
            text = json.dumps(content, ensure_ascii=False, indent=1)
            written.write_text(text, encoding="utf-8", errors="backslashreplace")
            written.replace(path)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written",
                why=error.strerror or str(error),
                mend=f"see that its disk has room and is writable (df -h {self.folder}), then call again",
            ) from error


def _move_all(source: Path, target: Path, but: Container[str] = ()) -> None:
    for child in list(source.iterdir()):
        if child.name not in but:
            child.rename(target / child.name)


def digest_of(*parts: Any) -> str:
    """Content hash of JSON: `sha256:...`."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"
