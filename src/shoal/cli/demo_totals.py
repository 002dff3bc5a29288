"""The sums under the demo's table: per agent, over all, and what a large model alone would have cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.agents.prompt import build_messages
from shoal.core.usage import Usage, add_known
from shoal.tracing.totals import percentile

if TYPE_CHECKING:
    from shoal.graphs import Result, Step
    from shoal.project import Project
    from shoal.team import Team

__all__ = ["AgentRow", "DemoTotals", "add_up"]

REFERENCE_LARGE = "openai:gpt-5"
"""Whose price "large only" is counted at where the project has no large model with a price."""
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow:
    agent: str
    subtasks: int
    kept_local: float
    """Share of its subtasks answered without a large model, in [0, 1]."""
    flagged: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTotals:
    messages: int
    split: int
    """Messages that held several requests."""
    subtasks: int
    nobody: int
    """Subtasks that no agent fits."""
    agents: tuple[AgentRow, ...]
    kept_local: float
    flagged: int
    refused: int
    """Answers that would have been escalated but for the budget."""
    benefit_forgone: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    cost_usd: float | None
    cost_method: str
    large_only_usd: float | None
    large_only_method: str


def add_up(project: "Project", team: "Team", results: Sequence["Result"]) -> DemoTotals:
    """Sum results. "Nobody" are subtasks for which the router found no agent."""
    steps = [step for result in results for step in result.steps]
    names = sorted({step.agent or "nobody" for step in steps})
    overall = _row("all", steps)
    large = str(team.large) if isinstance(team.large, str) else REFERENCE_LARGE
    prices = team.runtime.costs
    cost = prices.counterfactual(_as_one_large_model(project, steps), large=large)
    ledger = team.runtime.ledger
    calls = (call for result in results for call in ledger.run(result.run_id).calls)
    meters = ", ".join(sorted({call.energy_method for call in calls}))
    return DemoTotals(
        messages=len(results),
        split=sum(len(result.steps) > 1 for result in results),
        nobody=sum(step.agent is None for step in steps),
        subtasks=len(steps),
        agents=tuple(_row(name, [s for s in steps if (s.agent or "nobody") == name]) for name in names),
        kept_local=overall.kept_local,
        flagged=overall.flagged,
        refused=sum(result.totals.refused for result in results),
        benefit_forgone=add_known(*(result.totals.benefit_forgone for result in results)),
        latency_p50_s=overall.latency_p50_s,
        latency_p95_s=overall.latency_p95_s,
        cost_usd=overall.cost_usd,
        cost_method=f"electricity and hardware, energy by {meters}",
        large_only_usd=cost.amount_usd if cost else None,
        large_only_method=f"the same prompts and answers at the price of {large}, "
        f"{CHARS_PER_TOKEN} characters a token",
    )


def _row(name: str, steps: Sequence["Step"]) -> AgentRow:
    took = sorted(step.latency_s for step in steps)
    return AgentRow(
        agent=name,
        subtasks=len(steps),
        kept_local=sum(step.status == "accepted" and not step.escalated for step in steps) / len(steps),
        flagged=sum(step.status == "flagged" for step in steps),
        latency_p50_s=percentile(took, 0.5),
        latency_p95_s=percentile(took, 0.95),
        input_tokens=_count(step.usage.input_tokens for step in steps),
        output_tokens=_count(step.usage.output_tokens for step in steps),
        cost_usd=add_known(*(step.cost_usd for step in steps)),
    )


def _as_one_large_model(project: "Project", steps: Sequence["Step"]) -> Usage:
    """The tokens a large model would have read and written for the same subtasks, by length."""
    read = written = 0
    agents = {agent.name: agent for agent in project.agents}
    for step in steps:
        if step.agent is not None:
            agent = agents[step.agent]
            messages = build_messages(agent, step.subtask, step.sources, agent.schema)
            read += sum(len(message.content) for message in messages)
            written += len(step.text)
        else:
            read += len(step.subtask)
    return Usage(input_tokens=read // CHARS_PER_TOKEN, output_tokens=written // CHARS_PER_TOKEN)


def _count(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
