"""Writes newline-delimited JSON, and whatever a fault makes of it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, final

from shoal.testing.http_server import Reply
from shoal.testing.ollama.fault import Fault

__all__ = ["Cut", "LineWriter"]

HEADERS = {"content-type": "application/x-ndjson"}


class Cut(Exception):
    """The answer is over before its end."""


@final
class LineWriter:
    """Starts the reply with its first line, so that what fails before it can still have a status."""

    def __init__(self, reply: Reply, fault: Fault | None, *, one_write: bool = False) -> None:
        self._reply = reply
        self._fault = fault
        self._one_write = one_write
        self._held: list[bytes] = []
        self._lines = 0
        self._started = False

    async def send(self, line: Mapping[str, Any], *, last: bool = False) -> None:
        """Send one line; a fault that is still to come comes before the last one.

        Raises:
            Cut: the fault came.
        """
        if self._fault is not None and (last or self._lines == self._fault.after):
            await self._go_wrong(self._fault)
            raise Cut
        self._held.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._lines += 1
        if last or not self._one_write:
            await self.flush()

    async def flush(self) -> None:
        """Send what is held back, or at least the status."""
        if not self._started:
            await self._reply.start(headers=HEADERS)
            self._started = True
        if self._held:
            await self._reply.send(b"".join(self._held))
            self._held.clear()

    async def _go_wrong(self, fault: Fault) -> None:
        if fault.kind == "error_line" and not self._lines:
            return await self._reply.send_json({"error": fault.message}, status=500)
        if self._lines or fault.kind not in {"reset", "hang"}:
            await self.flush()
        match fault.kind:
            case "error_line":
                await self._reply.send(json.dumps({"error": fault.message}).encode() + b"\n")
            case "garbage":
                await self._reply.send(b"<html>Bad Gateway</html>\n")
            case "eof":
                await self._reply.send_raw(b'100\r\n{"model":"')
                self._reply.close()
            case "reset":
                self._reply.reset()
            case "hang":
                _ = await asyncio.Event().wait()
            case "no_done" | "status":
                pass
        return None
