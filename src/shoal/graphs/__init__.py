"""The team as a LangGraph graph: split, fan out, judge, merge. The only package that imports langgraph."""

from shoal.graphs.checkpoint import Checkpoints, open_checkpoints
from shoal.graphs.nodes import TeamParts
from shoal.graphs.result import Result, Step, Totals
from shoal.graphs.runner import TeamRunner
from shoal.graphs.team_graph import build_team_graph

__all__ = [
    "Checkpoints",
    "Result",
    "Step",
    "TeamParts",
    "TeamRunner",
    "Totals",
    "build_team_graph",
    "open_checkpoints",
]
