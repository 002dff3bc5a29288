"""Shoal: many small language models that work as one.

Names are loaded when they are first used, so that `import shoal` costs nothing.
"""

from typing import TYPE_CHECKING

from shoal.core.provider import provide_runtime

if TYPE_CHECKING:
    from shoal.agents import Agent, Attempt, Verbatim
    from shoal.core.errors import ShoalError
    from shoal.core.passage import Passage
    from shoal.graphs import (
        Answered,
        Escalated,
        Judged,
        Result,
        Retracted,
        Routed,
        Step,
        TeamEvent,
        Token,
        fold,
    )
    from shoal.models.function import Scored
    from shoal.project import Project, open_project
    from shoal.router import Router
    from shoal.router.escalation import Budget, Escalation
    from shoal.team import Team
    from shoal.tools import Tool

__all__ = [
    "Agent",
    "Answered",
    "Attempt",
    "Budget",
    "Escalated",
    "Escalation",
    "Judged",
    "Passage",
    "Project",
    "Result",
    "Retracted",
    "Routed",
    "Router",
    "Scored",
    "ShoalError",
    "Step",
    "Team",
    "TeamEvent",
    "Token",
    "Tool",
    "Verbatim",
    "fold",
    "open_project",
]

_HOMES = {
    "Agent": "shoal.agents",
    "Answered": "shoal.graphs",
    "Attempt": "shoal.agents",
    "Budget": "shoal.router.escalation",
    "Escalated": "shoal.graphs",
    "Escalation": "shoal.router.escalation",
    "Judged": "shoal.graphs",
    "Passage": "shoal.core.passage",
    "Project": "shoal.project",
    "Result": "shoal.graphs",
    "Retracted": "shoal.graphs",
    "Routed": "shoal.graphs",
    "Router": "shoal.router",
    "Scored": "shoal.models.function",
    "ShoalError": "shoal.core.errors",
    "Step": "shoal.graphs",
    "Team": "shoal.team",
    "TeamEvent": "shoal.graphs",
    "Token": "shoal.graphs",
    "Tool": "shoal.tools",
    "Verbatim": "shoal.agents",
    "fold": "shoal.graphs",
    "open_project": "shoal.project",
}


def _default_runtime() -> object:
    from shoal.runtime import LocalRuntime

    return LocalRuntime.default()


provide_runtime(_default_runtime)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'shoal' has no attribute {name!r}")
    import importlib

    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
