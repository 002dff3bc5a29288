"""Text to agent, or to nobody. Knows agents by name only; calls no model."""

from shoal.router.report import FitReport
from shoal.router.router import Router

__all__ = ["FitReport", "Router"]
