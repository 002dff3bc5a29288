"""Every error Shoal raises on purpose, in one tree.

ShoalError
├── InputError              the request itself: empty, binary, too large
├── ConfigError             shoal.toml, SHOAL_*, an Agent's or Team's arguments
│   ├── UnknownName         an agent, model, engine or option nobody has (with a did-you-mean)
│   └── LocalOnlyError      the thing asked for would leave this machine, and local_only forbids it
├── StorageError            ledger, checkpoint, index or cache: disk full, read-only, locked, damaged
│   ├── StorageLocked       another process writes there (retryable)
│   └── StorageDamaged      what is on disk is not what was written, or was written by other parts
├── ModelError              a model call failed
│   ├── ModelMissing        the engine does not have the model (the mend is its pull command)
│   ├── RequestRefused      the engine will never accept this request
│   │   └── ContextOverflow the prompt does not fit the model's context window
│   ├── EngineDown          nobody answers at the address (retryable)
│   │   └── LoadFailed      the engine answers, but cannot load or run this model (retryable)
│   ├── Overloaded          a queue is full, here or at the engine (retryable, with retry_after_s)
│   ├── DeadlineExceeded    load, first token, idle or total time ran out
│   └── StreamBroken        the answer stopped before its end (retryable)
├── OutputInvalid           the model's answer does not have the promised shape, also after repairs
├── ToolFailed              a tool raised; whether it had an effect is not known
└── RunError                a run cannot go on: interrupted, refused, in use, no such run
    └── OverBudget          the large model may not be asked any more
"""

import difflib
from collections.abc import Iterable
from typing import ClassVar, Literal

__all__ = [
    "ConfigError",
    "ContextOverflow",
    "DeadlineExceeded",
    "EngineDown",
    "InputError",
    "LoadFailed",
    "LocalOnlyError",
    "ModelError",
    "ModelMissing",
    "OutputInvalid",
    "OverBudget",
    "Overloaded",
    "RequestRefused",
    "RunError",
    "ShoalError",
    "StorageDamaged",
    "StorageError",
    "StorageLocked",
    "StreamBroken",
    "ToolFailed",
    "UnknownName",
]


class ShoalError(Exception):
    """What happened, why, and the exact command or line that mends it."""

    retryable: ClassVar[bool] = False
    """True when the same call may succeed a little later without anyone changing anything."""

    def __init__(self, what: str, *, why: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.mend = mend

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        return "\n".join(lines)


class InputError(ShoalError):
    """The request itself cannot be worked on."""


class ConfigError(ShoalError):
    """A setting or an argument is wrong."""


class UnknownName(ConfigError):
    """A name that nobody has."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, mend: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        self.suggestion = close[0] if close else None
        guess = f'did you mean "{self.suggestion}"?' if self.suggestion else ""
        listed = f"known: {', '.join(names)}" if names else "there are none"
        super().__init__(f'no {kind} is called "{name}"', why=listed, mend=guess or mend)


class LocalOnlyError(ConfigError):
    """local_only is set and this would open a connection to another machine."""


class StorageError(ShoalError):
    """Something on disk cannot be read or written."""


class StorageLocked(StorageError):
    """Another process holds the file."""

    retryable = True


class StorageDamaged(StorageError):
    """The file is not what Shoal wrote, or was written with other parts (embedder, version)."""


class ModelError(ShoalError):
    """A call to a model failed."""

    def __init__(
        self, what: str, *, why: str = "", mend: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, why=why, mend=mend)
        self.retry_after_s = retry_after_s
        """Seconds after which trying again may help; None = unknown."""


class ModelMissing(ModelError):
    """The engine does not have this model."""


class RequestRefused(ModelError):
    """The engine rejects the request as such; asking again is useless."""


class ContextOverflow(RequestRefused):
    """The prompt does not fit. Nothing was cut."""


class EngineDown(ModelError):
    """The engine does not answer."""

    retryable = True


class LoadFailed(EngineDown):
    """The engine answers, but this model cannot be loaded or run. Its others may well be."""

    retryable = True


class Overloaded(ModelError):
    """A bounded queue is full."""

    retryable = True


class DeadlineExceeded(ModelError):
    """A time limit ran out. Not retryable: the caller's time is gone as well."""

    def __init__(
        self,
        what: str,
        *,
        phase: Literal["queue", "load", "first_token", "idle", "total"],
        limit_s: float,
        why: str = "",
        mend: str = "",
    ) -> None:
        super().__init__(what, why=why, mend=mend)
        self.phase: Literal["queue", "load", "first_token", "idle", "total"] = phase
        self.limit_s = limit_s


class StreamBroken(ModelError):
    """The stream ended, or said something unreadable, before the answer was complete."""

    retryable = True


class OutputInvalid(ShoalError):
    """The answer does not validate against the agent's output type."""

    def __init__(self, what: str, *, text: str, why: str = "", mend: str = "") -> None:
        super().__init__(what, why=why, mend=mend)
        self.text = text
        """The last answer as the model gave it."""


class ToolFailed(ShoalError):
    """A tool raised in the middle of its work."""


class RunError(ShoalError):
    """A run cannot start, go on or be resumed."""


class OverBudget(RunError):
    """The budget for escalations forbids a call of the large model."""
