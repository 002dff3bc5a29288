"""A project's specialists on disk: versions are added, promoted and rolled back, never changed.

    specialists/<agent>/<number>/   one version, see `version`; it is whole or absent
    specialists/<agent>/live.json   which number is live, and which were live before it

Reading takes no lock: every file is replaced in one step. Writers take turns.
"""

import dataclasses
import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from shoal.core.agent_name import AGENT_NAME
from shoal.core.errors import ConfigError, StorageDamaged, StorageError, StorageLocked, UnknownName
from shoal.core.file_digest import hash_file
from shoal.core.lock import hold
from shoal.specialists.card import build_card
from shoal.specialists.specialist import Specialist
from shoal.specialists.version import (
    ADAPTER,
    CARD,
    RECORD,
    Draft,
    Version,
    dump_version,
    load_version,
    open_version,
)

__all__ = ["Registry"]

LIVE, LOCK, UNFINISHED, EXAMPLES = "live.json", ".lock", ".unfinished", "examples.jsonl"
LOCK_WAIT_S = 10.0
"""A writer is done in well under a second; an answer worth half an hour of training waits for it."""
NUMBER = re.compile("[1-9][0-9]*")
GGUF_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The content of `live.json`."""

    live: int | None = None
    """None = the agent is asked without a specialist."""
    before: tuple[int, ...] = ()
    """Live before it, oldest first."""

    def promote(self, number: int) -> "Live":
        """With another number live; the same one changes nothing."""
        if number == self.live:
            return self
        return Live(live=number, before=self.before if self.live is None else (*self.before, self.live))

    def rollback(self) -> "Live":
        """As before the last promotion."""
        return Live(live=self.before[-1] if self.before else None, before=self.before[:-1])


class Registry:
    """The versions in one folder. Agents are known by name only; one without versions is no error."""

    def __init__(self, folder: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Nothing is read or made here. `lock_wait_s`: how long a writer waits for another one."""
        self.folder = folder
        self._lock_wait_s = lock_wait_s

    def agents(self) -> tuple[str, ...]:
        """Names of those that have versions, in order."""
        if not self.folder.is_dir():
            return ()
        named = (path for path in self.folder.iterdir() if AGENT_NAME.fullmatch(path.name))
        return tuple(sorted(path.name for path in named if _numbers(path)))

    def numbers(self, agent: str) -> tuple[int, ...]:
        """Numbers of an agent's versions, the oldest first. Nothing in them is looked at.

        Raises:
            ConfigError: that cannot name an agent.
        """
        return _numbers(self._folder(agent))

    def versions(self, agent: str) -> tuple[Version, ...]:
        """All versions of an agent, the oldest first; their adapters are not looked at.

        Raises:
            ConfigError: that cannot name an agent.
            StorageDamaged: a version's record is not what was written.
        """
        return tuple(load_version(self.path(agent, number)) for number in self.numbers(agent))

    def live(self, agent: str) -> Version | None:
        """The version that answers for an agent now; None = it is asked without a specialist.

        Raises:
            ConfigError: that cannot name an agent.
            StorageDamaged: what says so, or the version's record, is not what was written.
        """
        number = self._load_live(agent).live
        return None if number is None else load_version(self.path(agent, number))

    def specialist(self, agent: str) -> Specialist | None:
        """The live version, its adapter checked, ready to be served.

        Raises:
            ConfigError: that cannot name an agent.
            StorageDamaged: the version is not what was written.
        """
        number = self._load_live(agent).live
        return None if number is None else open_version(self.path(agent, number))

    def path(self, agent: str, number: int) -> Path:
        """Folder of a version, there or not.

        Raises:
            ConfigError: that cannot name an agent.
        """
        return self._folder(agent) / str(number)

    def examples(self, agent: str) -> Path | None:
        """What the router may learn from the live version: rows as in router/examples.jsonl; None = nothing.

        Raises:
            ConfigError: that cannot name an agent.
            StorageDamaged: what says which version is live is not what was written.
        """
        number = self._load_live(agent).live
        path = None if number is None else self.path(agent, number) / EXAMPLES
        return path if path is not None and path.is_file() else None

    def add(self, agent: str, draft: Draft, adapter: Path, *, examples: Sequence[str] = ()) -> Version:
        """Keep a copy of an adapter as the agent's next version. It is not live by that.

        Args:
            agent: its name.
            draft: the record, without what is only known here.
            adapter: GGUF.
            examples: some of the inputs it was trained on, for the router to learn that they are the agent's.

        Raises:
            ConfigError: that cannot name an agent.
            StorageDamaged: the adapter is no GGUF, or live.json is not what was written.
            StorageLocked: another process writes here and does not end.
            StorageError: the adapter cannot be read, or the folder cannot be written.
        """
        folder = self._folder(agent)
        with self._writing():
            live = self._load_live(agent)
            number = 1 + max((*_numbers(folder), *live.before, live.live or 0), default=0)
            unfinished = folder / UNFINISHED  # of a writer that died, if it is there
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                version = _fill(unfinished, agent, number, draft, adapter)
                rows = [json.dumps({"text": text, "label": agent}, ensure_ascii=False) for text in examples]
                if rows:
                    _write(unfinished / EXAMPLES, "".join(f"{row}\n" for row in rows))
                unfinished.rename(folder / str(number))
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return version

    def check(self, agent: str, number: int, *, despite_gate: bool = False) -> Specialist:
        """A version that could go live. `despite_gate`: also one that did not pass its gate.

        Raises:
            ConfigError: that cannot name an agent, or the version did not pass its gate.
            UnknownName: there is no such version.
            StorageDamaged: it is not what was written.
        """
        numbers = self.numbers(agent)
        if number not in numbers:
            raise UnknownName(f"version of {agent}", str(number), map(str, numbers), mend="shoal specialists")
        trained = open_version(self.path(agent, number))
        version = load_version(self.path(agent, number))
        if not version.gate.passed and not despite_gate:
            raise ConfigError(
                f"{version.key} did not pass its gate",
                why=" ".join(version.gate.reasons) or "its record does not say why",
                mend=f"shoal promote {agent} {number} --despite-gate, or train it on more or better rows",
            )
        return trained

    def promote(self, agent: str, number: int, *, despite_gate: bool = False) -> Version:
        """Make a version the live one, if `check` finds nothing against it.

        Raises:
            ConfigError: see `check`.
            UnknownName: there is no such version.
            StorageDamaged: it is not what was written.
            StorageLocked: another process writes here and does not end.
            StorageError: the folder cannot be written.
        """
        self.check(agent, number, despite_gate=despite_gate)
        with self._writing():
            self._save_live(agent, self._load_live(agent).promote(number))
        return load_version(self.path(agent, number))

    def rollback(self, agent: str) -> Version | None:
        """Take the last promotion back. Returns what is live now; None = the agent has no specialist again.

        Raises:
            ConfigError: that cannot name an agent, or it has no specialist.
            StorageDamaged: the version before is not what was written.
            StorageLocked: another process writes here and does not end.
            StorageError: the folder cannot be written.
        """
        if self._load_live(agent).live is None:
            raise ConfigError(
                f"{agent} has no live specialist",
                why="there is nothing to go back from",
                mend=f"shoal specialists {agent}",
            )
        with self._writing():
            back = self._load_live(agent).rollback()
            if back.live is not None:
                self._check_earlier(agent, back.live)
            self._save_live(agent, back)
        return self.live(agent)

    def _check_earlier(self, agent: str, number: int) -> None:
        try:
            open_version(self.path(agent, number))
        except StorageDamaged as error:
            mend = f"promote one that is whole: shoal promote {agent} NUMBER"
            raise StorageDamaged(error.what, why=error.why, mend=mend) from error

    def _folder(self, agent: str) -> Path:
        if not AGENT_NAME.fullmatch(agent):
            raise ConfigError(
                f'"{agent}" cannot name an agent',
                why='a name is lower-case letters, digits, "-" and "_", and starts with a letter',
            )
        return self.folder / agent

    def _load_live(self, agent: str) -> Live:
        path = self._folder(agent) / LIVE
        try:
            return _LIVE.validate_json(path.read_bytes())
        except FileNotFoundError:
            return Live()
        except (OSError, ValidationError) as error:
            raise StorageDamaged(
                f"which version of {agent} is live cannot be read",
                why=f"{path}: {str(error).splitlines()[0]}",
                mend=f"rm {path} && shoal promote {agent} NUMBER",
            ) from error

    def _save_live(self, agent: str, live: Live) -> None:
        path = self._folder(agent) / LIVE
        written = path.with_suffix(".new")
        _write(written, json.dumps(asdict(live), indent=1) + "\n")
        written.replace(path)

    @contextmanager
    def _writing(self) -> Generator[None]:
        """One writer at a time, and the disk's errors as ours."""

        def refusal(holder: str) -> StorageLocked:
            return StorageLocked(
                f"{self.folder} is being written by {holder}", why="one writer at a time", mend="try again"
            )

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(f"{self.folder} is read-only")
            with hold(self.folder / LOCK, refusal, wait_s=self._lock_wait_s):
                yield
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be written",
                why=str(error),
                mend="free some space, or make a project of your own and work there: shoal init DIR",
            ) from error


def _numbers(folder: Path) -> tuple[int, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(int(path.name) for path in folder.iterdir() if NUMBER.fullmatch(path.name)))


def _fill(folder: Path, agent: str, number: int, draft: Draft, adapter: Path) -> Version:
    """Write a version's files; its record says what was written, not what was meant to be."""
    copy = folder / ADAPTER
    with adapter.open("rb") as source, copy.open("wb") as target:
        if source.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise StorageDamaged(
                f"{adapter} is not a GGUF file",
                why="it does not begin with the four letters every GGUF begins with",
                mend="train it again",
            )
        source.seek(0)
        shutil.copyfileobj(source, target)
        _sync(target)
    version = Version(
        **{each.name: getattr(draft, each.name) for each in dataclasses.fields(Draft)},
        agent=agent,
        number=number,
        adapter_digest=hash_file(copy),
        adapter_bytes=copy.stat().st_size,
        created=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    _write(folder / RECORD, dump_version(version))
    _write(folder / CARD, build_card(version))
    return version


def _write(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(content)
        _sync(file)


def _sync(file: IO[Any]) -> None:
    """A rename may reach the disk before what was written; then a power cut leaves half a version."""
    file.flush()
    os.fsync(file.fileno())


_LIVE: TypeAdapter[Live] = TypeAdapter(Live)
