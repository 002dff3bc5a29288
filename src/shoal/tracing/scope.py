"""Whose work is going on: which run, step, agent and purpose a model call belongs to.

`RecordedModel` reads it when `stream` is called, so the scope need only be open around that call:

    with scope(purpose="repair", attempt=2):
        events = model.stream(request)
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Scope", "current_scope", "scope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    run_id: str | None = None
    step_id: str | None = None
    agent: str | None = None
    purpose: str = "answer"
    attempt: int = 1
    deadline: float | None = None
    """On the monotonic clock: when whoever waits for the work gives up."""


current_scope: ContextVar[Scope] = ContextVar("shoal_scope", default=Scope())  # noqa: B039  Scope is frozen


@contextmanager
def scope(
    *,
    run_id: str | None = None,
    step_id: str | None = None,
    agent: str | None = None,
    purpose: str | None = None,
    attempt: int | None = None,
    deadline: float | None = None,
) -> Generator[Scope]:
    """Work inside belongs to these; what is not given stays as it is around the block."""
    outer = current_scope.get()
    inner = Scope(
        run_id=outer.run_id if run_id is None else run_id,
        step_id=outer.step_id if step_id is None else step_id,
        agent=outer.agent if agent is None else agent,
        purpose=outer.purpose if purpose is None else purpose,
        attempt=outer.attempt if attempt is None else attempt,
        deadline=outer.deadline if deadline is None else deadline,
    )
    current_scope.set(inner)
    try:
        yield inner
    finally:
        # Not `reset`: an async generator may be closed from another context than it was started in, where
        # the token is void and the scope was never entered.
        if current_scope.get() is inner:
            current_scope.set(outer)
