"""Server-sent events: bytes to the data of events.

The part of the WHATWG format that engines use: `data` fields, comments, all three line ends. Splits bytes
itself, because text splitters also break lines at U+2028 and U+0085, which JSON may hold unescaped.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable
from typing import final

from shoal.core.errors import StreamBroken

__all__ = ["EventReader", "read_events"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""An event longer than this is not one: the other side speaks something else."""
LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the very end may be half of a pair."""


@final
class EventReader:
    """Give it bytes as they come; it gives back the data of the events that are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of the events that end in `chunk`, lines of one event joined by newlines.

        Raises:
            StreamBroken: an event grows beyond 8 MiB.
        """
        *lines, self._rest = LINE_END.split(self._rest + chunk)
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise StreamBroken(
                "the stream holds an event of more than 8 MiB", why="it is not an event stream"
            )
        return [event for line in lines if (event := self._take(line)) is not None]

    def finish(self) -> bytes | None:
        """Data of an event that the end of the stream cut off, if any."""
        return self._take(self._rest.rstrip(b"\r")) or self._take(b"")

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        return None


async def read_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Data of the events in a stream of bytes, one that its end cut off included.

    Raises:
        StreamBroken: an event grows beyond 8 MiB.
    """
    reader = EventReader()
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
    last = reader.finish()
    if last is not None:
        yield last
