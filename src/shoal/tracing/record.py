"""The rows of the ledger, as plain data.

Times are seconds since 1970-01-01 UTC (`time.time()`), durations are seconds, energy is joules, money is
US dollars. `None` is unknown, 0 is zero.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shoal.core.decision import Action, Decision, Judged, Signals
from shoal.tracing.effect import EffectRow

__all__ = [
    "CallRow",
    "CallStatus",
    "CostMethod",
    "CostTerm",
    "EnergyMethod",
    "EscalationRow",
    "RunRecord",
    "RunRow",
    "RunStatus",
    "StepRow",
    "new_id",
]

RunStatus = Literal["accepted", "running", "waiting", "done", "flagged", "failed", "interrupted"]
"""waiting: for a person's consent."""
CallStatus = Literal["ok", "error", "cancelled"]
EnergyMethod = Literal["nvml", "rapl", "estimate", "none"]
CostMethod = Literal["provider", "local", "none"]


def new_id() -> str:
    """An id for a run, step or call: 32 random hex digits, so that a short prefix names it."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One execution of a team. Committed before the request is called accepted."""

    id: str
    team: str
    input: str
    status: RunStatus = "accepted"
    started_at: float
    ended_at: float | None = None
    thread_id: str | None = None
    """The conversation or checkpoint thread it belongs to."""
    parent_id: str | None = None
    """The run that started this one."""
    answer: str | None = None
    error_class: str | None = None
    error: str | None = None
    first_shown_s: float | None = None
    """From the request to the first token its reader could see; None = not streamed, or nothing was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One node of a run. Written when it begins and again when it ends.

    A step without `ended_at` in a run that has ended was cut off: its process died or was stopped.
    """

    id: str
    run_id: str
    node: str
    """Name of the graph node: "route", "agent", "merge", ..."""
    started_at: float
    subtask_id: str | None = None
    agent: str | None = None
    """None = not the work of an agent."""
    input: str = ""
    decision: Decision | None = None
    signals: Signals | None = None
    action: Action | None = None
    reason: str = ""
    confidence: float | None = None
    """P(acceptable), in [0, 1]."""
    calibrated: bool = False
    threshold: float | None = None
    certificate: str | None = None
    benefit: float | None = None
    """How much likelier the large model's answer is right, in [-1, 1]."""
    alternatives: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Predicted cost in USD of every action that could follow; None = unknown."""
    drafts: tuple[Judged, ...] = ()
    """What was judged before, and asked for again."""
    escalated: bool = False
    """A larger model made the answer."""
    ended_at: float | None = None
    latency_s: float | None = None
    output: str | None = None
    error_class: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTerm:
    """One summand of a cost."""

    name: str
    """ "input", "cached input", "output", "electricity" or "hardware"."""
    amount_usd: float
    formula: str
    """The arithmetic with its numbers, for a person to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call of a model, whatever became of it."""

    id: str
    engine: str
    model: str
    """Name within the engine."""
    status: CallStatus
    started_at: float
    latency_s: float
    """From asking to the end of the stream, seen from this side."""
    run_id: str | None = None
    """None = asked outside a run."""
    step_id: str | None = None
    agent: str | None = None
    purpose: str = "answer"
    """ "answer", "repair", "escalation", "self_check", "sample", "split", "merge"."""
    attempt: int = 1
    """The agent's attempt. Retries of one attempt are rows of their own with the same number."""
    digest: str | None = None
    remote: bool = False
    """The work happened on another machine."""
    finish_reason: str | None = None
    error_class: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    queue_s: float | None = None
    load_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    first_token_s: float | None = None
    energy_j: float | None = None
    """Above idle, this call's share of it."""
    energy_method: EnergyMethod = "none"
    cost_usd: float | None = None
    cost_method: CostMethod = "none"
    cost_terms: tuple[CostTerm, ...] = ()
    from_cache: bool = False
    """The answer was there already; the model was not asked. Tokens are those of the answer, times are 0."""
    saved_usd: float | None = None
    """What the call cost when it was made; None = unknown, or not from the cache."""
    adapter: str | None = None
    """The specialist that was asked on the model, e.g. "order-reader@3"; None = the model as it is."""

    @property
    def model_name(self) -> str:
        """`engine:model`."""
        return f"{self.engine}:{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRow:
    """One call of the large model, wished for: granted and later settled, or refused by the budget."""

    id: str
    run_id: str
    step_id: str | None
    agent: str
    model: str
    """`engine:model`."""
    asked_at: float
    expires_at: float
    """When it has ended, well or not; later than that, nobody settles it any more."""
    refusal: str | None = None
    """None = granted."""
    benefit: float | None = None
    most_usd: float | None = None
    """What it can take at most; None = unknown."""
    most_seconds: float | None = None
    most_joules: float | None = None
    settled_at: float | None = None
    usd: float | None = None
    seconds: float | None = None
    joules: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run with everything it left."""

    run: RunRow
    steps: tuple[StepRow, ...]
    """In order of their start."""
    calls: tuple[CallRow, ...]
    """In order of their start."""
    escalations: tuple[EscalationRow, ...] = ()
    """In order of being asked for."""
    effects: tuple[EffectRow, ...] = ()
    """In the order of their claims. Unfinished ones are for a person to look at."""

    @property
    def refused(self) -> tuple[EscalationRow, ...]:
        """Answers that would have been escalated but for the budget: refused, and nothing granted before."""
        granted = {row.step_id for row in self.escalations if row.refusal is None}
        return tuple(
            row
            for row in self.escalations
            if row.refusal is not None and (row.step_id is None or row.step_id not in granted)
        )
