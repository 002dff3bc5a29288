"""What can go wrong with one answer of the fake server.

server.fail(Fault.status(503, QUEUE_FULL))      the next chat is refused
server.fail(Fault.reset(after=2))               ... the connection dies after two lines
server.fail(None, Fault.hang())                 ... the next is well, the one after it says nothing
server.fail(Fault.eof(after=3), on="/api/pull") other paths too
"""

from dataclasses import dataclass
from typing import Literal, Self

__all__ = ["CRASHED", "LOADING", "NO_MEMORY", "QUEUE_FULL", "Fault"]

QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"
"""503."""
NO_MEMORY = "model requires more system memory (5.6 GiB) than is available (1.2 GiB)"
"""500, at a load."""
CRASHED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
"""500, or a line in the middle of an answer."""
LOADING = "unexpected server status: llm server loading model"
"""500, where requests with keep_alive met a model on its way out."""

Kind = Literal["status", "error_line", "no_done", "eof", "reset", "garbage", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One request's trouble; use the constructors."""

    kind: Kind
    after: int = 0
    """Lines sent before it happens."""
    code: int = 200
    message: str = ""

    @classmethod
    def status(cls, code: int, message: str) -> Self:
        """Refuse with this status and message, before any line."""
        return cls(kind="status", code=code, message=message)

    @classmethod
    def error_line(cls, message: str = CRASHED, *, after: int = 1) -> Self:
        """A line `{"error": message}` under the status 200, then the stream ends."""
        return cls(kind="error_line", message=message, after=after)

    @classmethod
    def no_done(cls, *, after: int = 1) -> Self:
        """End in good order, without the `done` line. `after=0` is an empty answer of status 200."""
        return cls(kind="no_done", after=after)

    @classmethod
    def eof(cls, *, after: int = 1) -> Self:
        """Close the connection in the middle of a chunk."""
        return cls(kind="eof", after=after)

    @classmethod
    def reset(cls, *, after: int = 1) -> Self:
        """Reset the connection. `after=0`: before there is a status."""
        return cls(kind="reset", after=after)

    @classmethod
    def garbage(cls, *, after: int = 1) -> Self:
        """A line that is not JSON."""
        return cls(kind="garbage", after=after)

    @classmethod
    def hang(cls, *, after: int = 0) -> Self:
        """Say nothing more until the client leaves. `after=0`: not even a status."""
        return cls(kind="hang", after=after)
