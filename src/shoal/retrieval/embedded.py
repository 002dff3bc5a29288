"""Chroma in files of ours: one folder a generation, and a small file that names the valid one.

That file is replaced by renaming, which is atomic: a kill at any moment leaves the old index or the new one.
Readers learn of changes from it alone, and hold Chroma open only while they read.
"""

import os
import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from shoal.core.errors import StorageDamaged
from shoal.retrieval.connection import IndexPlace, close_embedded, mapped_errors, open_embedded
from shoal.retrieval.lock import reader_lock, wait_for_readers

if TYPE_CHECKING:
    from chromadb.api.client import Client

__all__ = ["EmbeddedHome"]

STATE = "state.json"
PREFIX = "index-"
READERS = "readers.lock"


class _State(BaseModel):
    model_config = ConfigDict(frozen=True)

    folder: str
    revision: str
    deleted: bool = False
    """Chunks were deleted from this generation, whose text Chroma still has in its log."""


class EmbeddedHome:
    """See `Home`. Changes only under the writer's lock."""

    def __init__(self, place: IndexPlace) -> None:
        self._place = place
        self._client: Client | None = None
        self._folder = place.folder
        """The generation that `_client` has open."""
        self._renewing: Path | None = None
        """The generation that is being written, and not valid yet."""

    def revision(self) -> str | None:
        state = self._state()
        return None if state is None else state.revision

    @contextmanager
    def reading(self) -> "Generator[Client | None]":
        if self._renewing is not None:
            yield self.writing()
            return
        while (state := self._state()) is not None:
            folder = self._place.folder / state.folder
            with reader_lock(folder / READERS) as held:
                # Only now is it certain that the folder stays: it may have been replaced since.
                if held and self._state() == state:
                    client = open_embedded(self._place, folder)
                    try:
                        yield client
                    finally:
                        close_embedded(client, folder)
                    return
            if not held and self._state() == state:
                break
        yield None

    def writing(self) -> "Client":
        if self._client is None:
            state = self._state()
            self._folder = self._renewing or self._place.folder / (state.folder if state else "")
            self._client = open_embedded(self._place, self._folder)
        return self._client

    @contextmanager
    def renewed(self) -> Generator[None]:
        self.close()
        with mapped_errors(self._place, writing=True):
            self._remove_all_but_current()
            self._renewing = self._place.folder / f"{PREFIX}{uuid.uuid4().hex[:8]}"
            self._renewing.mkdir(parents=True)
            (self._renewing / READERS).touch()
        try:
            yield
            self.close()
            self._write(_State(folder=self._renewing.name, revision=uuid.uuid4().hex))
        finally:
            self.close()
            self._renewing = None
        with mapped_errors(self._place, writing=True):
            self._remove_all_but_current()

    def deleting(self) -> None:
        state = self._state()
        if state is not None and self._renewing is None:
            self._write(state.model_copy(update={"deleted": True}))

    def holds_deleted(self) -> bool:
        state = self._state()
        return state is not None and state.deleted

    def commit(self) -> None:
        state = self._state()
        if state is not None and self._renewing is None:
            self._write(state.model_copy(update={"revision": uuid.uuid4().hex}))

    def close(self) -> None:
        if self._client is not None:
            close_embedded(self._client, self._folder)
            self._client = None

    def _state(self) -> _State | None:
        path = self._place.folder / STATE
        try:
            return _State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StorageDamaged(f"{path} is damaged", why=str(error), mend=self._place.rebuild) from error

    def _write(self, state: _State) -> None:
        with mapped_errors(self._place, writing=True):
            new = self._place.folder / f"{STATE}.new"
            with new.open("wb") as file:
                _ = file.write(state.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            _ = new.replace(self._place.folder / STATE)

    def _remove_all_but_current(self) -> None:
        state = self._state()
        for folder in self._place.folder.glob(f"{PREFIX}*"):
            # A generation that is still being read is left for the next change to remove.
            if (state is None or folder.name != state.folder) and wait_for_readers(folder / READERS):
                shutil.rmtree(folder, ignore_errors=True)
