"""Specialists: what was trained for an agent, in numbered versions, and which of them is live."""

from shoal.specialists.registry import Registry
from shoal.specialists.specialist import Specialist
from shoal.specialists.version import DataRecord, Draft, Gate, Score, TuningRecord, Version

__all__ = ["DataRecord", "Draft", "Gate", "Registry", "Score", "Specialist", "TuningRecord", "Version"]
