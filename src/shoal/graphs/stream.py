"""The way from the nodes of a run to whoever reads its stream.

Nodes never wait for the reader, so a slow one holds no place at an engine and changes no result. And what it
has not read does not pile up: unread tokens of a subtask are joined, and void ones forgotten. What waits is
at most a few events and one text a subtask, no more than the run itself holds.
"""

import asyncio
import time
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import final

from shoal.core.decision import Verdict
from shoal.graphs.event import Escalated, Judged, Retracted, Routed, StreamMode, TeamEvent, Token
from shoal.graphs.state import Outcome, Planned

__all__ = ["EventStream", "Unheard", "current_stream"]


class Unheard:
    """What a run tells when nobody reads along."""

    @property
    def first_shown_s(self) -> float | None:
        """Seconds from the start of the stream until its first token could be read; None = none yet."""
        return None

    def routed(self, planned: Planned) -> None:
        """The router has decided."""

    def escalated(self, subtask_id: str, *, agent: str, to_model: str) -> None:
        """The large model begins."""

    def said(self, subtask_id: str, text: str) -> None:
        """The model said more of its answer."""

    def repairing(self, subtask_id: str, verdict: Verdict, *, agent: str, escalated: bool) -> None:
        """What was said is void, and the same model is asked again."""

    def settled(self, outcome: Outcome) -> None:
        """The attempt was judged, and its step is in the ledger."""


@dataclass(slots=True)
class _Text:
    """Tokens of one subtask that were not read yet."""

    subtask_id: str
    parts: list[str]


@final
class EventStream(Unheard):
    """Told by nodes, read by one reader, on one event loop."""

    def __init__(self, mode: StreamMode) -> None:
        self._live = mode == "live"
        self._began = time.perf_counter()
        self._first_shown_s: float | None = None
        self._unread: deque[TeamEvent | _Text] = deque()
        self._growing: dict[str, _Text] = {}
        """Unread texts that no other event of their subtask follows."""
        self._shown: set[str] = set()
        """Subtasks of which the reader has seen text that still stands."""
        self._news = asyncio.Event()
        self._ended = False

    @property
    def first_shown_s(self) -> float | None:
        return self._first_shown_s

    async def read(self) -> TeamEvent | None:
        """The next event; None = the run has ended and all was read."""
        while not self._unread:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._unread.popleft()
        if not isinstance(event, _Text):
            return event
        if self._growing.get(event.subtask_id) is event:
            del self._growing[event.subtask_id]
        self._shown.add(event.subtask_id)
        return Token(subtask_id=event.subtask_id, text="".join(event.parts))

    def end(self) -> None:
        """Nothing will be told any more."""
        self._ended = True
        self._news.set()

    def routed(self, planned: Planned) -> None:
        decision = planned.decision
        self._tell(
            Routed(
                subtask_id=planned.subtask.id,
                text=planned.subtask.text,
                agent=decision.agent,
                confidence=decision.confidence,
                calibrated=decision.calibrated,
                reason=decision.reason,
            )
        )

    def escalated(self, subtask_id: str, *, agent: str, to_model: str) -> None:
        self._tell(Escalated(subtask_id=subtask_id, agent=agent, to_model=to_model))

    def said(self, subtask_id: str, text: str) -> None:
        if self._live:
            self._show(subtask_id, text)

    def repairing(self, subtask_id: str, verdict: Verdict, *, agent: str, escalated: bool) -> None:
        self._judge(subtask_id, verdict, agent=agent, escalated=escalated)
        self._retract(subtask_id, verdict.reason)

    def settled(self, outcome: Outcome) -> None:
        if outcome.agent is not None:
            self._judge(outcome.subtask_id, outcome.verdict, agent=outcome.agent, escalated=outcome.escalated)
        if outcome.status != "accepted":
            self._retract(outcome.subtask_id, outcome.verdict.reason)
        elif not self._live:
            self._show(outcome.subtask_id, outcome.text)

    def _judge(self, subtask_id: str, verdict: Verdict, *, agent: str, escalated: bool) -> None:
        # Text behind it belongs to the next draft.
        self._growing.pop(subtask_id, None)
        self._tell(Judged(subtask_id=subtask_id, agent=agent, verdict=verdict, escalated=escalated))

    def _show(self, subtask_id: str, text: str) -> None:
        if not text:
            return
        if self._first_shown_s is None:
            self._first_shown_s = time.perf_counter() - self._began
        growing = self._growing.get(subtask_id)
        if growing is None:
            growing = self._growing[subtask_id] = _Text(subtask_id, [])
            self._unread.append(growing)
            self._news.set()
        growing.parts.append(text)

    def _retract(self, subtask_id: str, reason: str) -> None:
        """What nobody has read is forgotten; what was read is taken back."""
        self._unread = deque(
            event
            for event in self._unread
            if not (isinstance(event, _Text) and event.subtask_id == subtask_id)
        )
        self._growing.pop(subtask_id, None)
        if subtask_id in self._shown:
            self._shown.discard(subtask_id)
            self._tell(Retracted(subtask_id=subtask_id, reason=reason))

    def _tell(self, event: TeamEvent) -> None:
        self._unread.append(event)
        self._news.set()


current_stream: ContextVar[Unheard] = ContextVar("shoal_stream", default=Unheard())  # noqa: B039  it has no state
