"""The team as a LangGraph graph: split, fan out, judge, merge. The only package that imports langgraph."""

from shoal.graphs.checkpoint import Checkpoints, open_checkpoints
from shoal.graphs.consent import ConsentRequest
from shoal.graphs.event import (
    Answered,
    Escalated,
    Judged,
    Retracted,
    Routed,
    StreamMode,
    TeamEvent,
    Token,
    fold,
)
from shoal.graphs.foresight import Foresight
from shoal.graphs.large import Large
from shoal.graphs.nodes import TeamParts
from shoal.graphs.result import Result, Step, Totals
from shoal.graphs.runner import TeamRunner
from shoal.graphs.team_graph import build_team_graph

__all__ = [
    "Answered",
    "Checkpoints",
    "ConsentRequest",
    "Escalated",
    "Foresight",
    "Judged",
    "Large",
    "Result",
    "Retracted",
    "Routed",
    "Step",
    "StreamMode",
    "TeamEvent",
    "TeamParts",
    "TeamRunner",
    "Token",
    "Totals",
    "build_team_graph",
    "fold",
    "open_checkpoints",
]
