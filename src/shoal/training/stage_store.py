"""The working folder of one agent's training: who may work there, and what each stage left.

A result is kept with a hash of what it was made from; asked for with another hash, it is not there.
"""

import hashlib
import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoal.core.errors import StorageError, StorageLocked
from shoal.core.lock import hold

__all__ = ["StageStore", "digest_of"]

LOCK, BEGUN = "training.lock", "begun.json"
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
        """Say what the training is made of. False = it was made of something else, which is removed.

        A folder where nothing was said is taken as it is: what lies in it is checked by who wrote it.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = self.folder / BEGUN
        before = self._read(path)
        same = before is None or before.get("digest") == digest
        if not same:
            for child in self.folder.iterdir():
                if child.name == LOCK:
                    continue
                if child.is_dir():
                    shutil.rmtree(child)
                else:
                    child.unlink()
        self._write(path, {"digest": digest})
        return same

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


def digest_of(*parts: Any) -> str:
    """Content hash of JSON: `sha256:...`."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"
