"""Agents: narrow specialists, one job each."""

from shoal.agents.agent import Agent
from shoal.agents.attempt import AgentEvent, Attempt, Judge, Repairing
from shoal.agents.digest import prompt_digest, schema_digest, tools_digest
from shoal.agents.loop import attempt_events, check_text
from shoal.agents.probe import Probe
from shoal.agents.prompt import build_request
from shoal.agents.runtime import Runtime, default_runtime
from shoal.agents.spec import AgentSpec
from shoal.agents.validation import HardChecks
from shoal.agents.verbatim import Verbatim
from shoal.agents.work import Task

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentSpec",
    "Attempt",
    "HardChecks",
    "Judge",
    "Probe",
    "Repairing",
    "Runtime",
    "Task",
    "Verbatim",
    "attempt_events",
    "build_request",
    "check_text",
    "default_runtime",
    "prompt_digest",
    "schema_digest",
    "tools_digest",
]
