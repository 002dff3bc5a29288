"""Tools: typed functions that a model may call."""

from shoal.tools.tool import Effect, Tool
from shoal.tools.toolset import Toolset

__all__ = ["Effect", "Tool", "Toolset"]
