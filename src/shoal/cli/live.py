"""`shoal run --stream`: what a team says while it works, for a terminal, a pipe or a program.

On a terminal one block a subtask, redrawn in place: what was taken back is struck out until something better
stands there. Into a pipe only what stays: each answer once it was accepted.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from shoal.cli.output import console, print_json_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from shoal.graphs import Result, Routed, TeamEvent

__all__ = ["Board", "follow", "print_accepted", "print_events"]

Events = AsyncGenerator["TeamEvent"]
LINES = 8
"""Of each answer, the last ones, while it grows; the whole answer is printed in the end."""


async def follow(events: Events) -> "Result":
    """Draw the events as they come, on a terminal; nothing of the drawing is left in the end."""
    from rich.live import Live

    board = Board()
    with Live(board, console=console(), transient=True, refresh_per_second=12):
        return await _read(events, board.note)


async def print_accepted(events: Events) -> "Result":
    """Print each answer when it was accepted, under its subtask when there are several; then what was not."""
    from shoal.graphs import Answered, Routed, Token
    from shoal.graphs.result import compose_answer

    routed: dict[str, Routed] = {}

    def show(event: "TeamEvent") -> None:
        match event:
            case Routed():
                routed[event.subtask_id] = event
            case Token():
                out = console()
                if len(routed) > 1:
                    subtask = " ".join(routed[event.subtask_id].text.split())
                    out.print(f"[{event.subtask_id}] {subtask}", markup=False, style="bold")
                out.print(event.text, markup=False, soft_wrap=True)
            case Answered():
                for step in event.result.steps:
                    if step.status != "accepted":
                        console().print(compose_answer([step]), markup=False, soft_wrap=True)
            case _:
                pass

    return await _read(events, show)


async def print_events(events: Events) -> "Result":
    """One JSON object a line and event: its fields, and its kind as "event"."""
    return await _read(events, print_json_line)


async def _read(events: Events, show: "Callable[[TeamEvent], None]") -> "Result":
    from shoal.core.errors import StreamBroken
    from shoal.graphs import Answered

    async with aclosing(events):
        async for event in events:
            show(event)
            if isinstance(event, Answered):
                return event.result
    raise StreamBroken("the stream ended without an answer")


class Board:
    """What a terminal shows while a team works; rich renders it."""

    def __init__(self) -> None:
        self._blocks: dict[str, _Block] = {}

    def note(self, event: "TeamEvent") -> None:
        """Take an event in."""
        from shoal.graphs import Answered, Escalated, Judged, Retracted, Routed, Token

        match event:
            case Routed():
                self._blocks[event.subtask_id] = _Block(event)
            case Token():
                block = self._blocks[event.subtask_id]
                block.text, block.taken_back = block.text + event.text, ""
            case Retracted():
                block = self._blocks[event.subtask_id]
                block.text, block.taken_back = "", block.text
            case Judged():
                self._blocks[event.subtask_id].note = f"{event.verdict.action}: {event.verdict.reason}"
            case Escalated():
                self._blocks[event.subtask_id].note = f"asking {event.to_model}"
            case Answered():
                pass

    def __rich__(self) -> "RenderableType":
        from rich.console import Group

        return Group(*(line for block in self._blocks.values() for line in block.lines()))


class _Block:
    """One subtask."""

    def __init__(self, routed: "Routed") -> None:
        self._title = f"{routed.subtask_id} {routed.agent or 'nobody'} · {' '.join(routed.text.split())}"
        self.text = ""
        self.taken_back = ""
        self.note = "asked" if routed.agent else routed.reason

    def lines(self) -> "Iterator[RenderableType]":
        from rich.text import Text

        yield Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        yield Text(f"  {self.note}", style="dim", no_wrap=True, overflow="ellipsis")
        if self.taken_back:
            yield Text(_last_lines(self.taken_back), style="red strike")
        if self.text:
            yield Text(_last_lines(self.text))


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LINES:])
