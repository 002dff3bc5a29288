"""Recorded runs decided again, under another promise, price or budget. No model is asked.

What it cannot know: whether the large model would have been right. It says which answers would have been
kept, sent on or flagged, and what the sending would have cost.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from shoal.core.decision import Verdict
from shoal.core.errors import ConfigError
from shoal.core.usage import Usage, add_known
from shoal.router.escalation import Budget, Policy
from shoal.router.escalation.budget import METERED, check_budget
from shoal.router.escalation.settings import SCOPES
from shoal.tracing.forecast import Forecast
from shoal.tracing.record import CallRow, RunRecord, StepRow
from shoal.tracing.spending import Spending, SpendingScope

__all__ = ["Change", "Replay", "Tally", "replay"]

Fate = Literal["kept", "escalated", "flagged", "asked"]
"""asked: the agent, which was passed over when the run was recorded. Nobody knows what it would have said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An answer that would have met another fate."""

    run_id: str
    subtask_id: str | None
    agent: str
    input: str
    before: Fate
    after: Fate
    verdict: Verdict | None
    """The new one; None where the agent would be asked."""
    expected_usd: float | None
    """Of asking the large model; 0 when it would not be asked, None = unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    kept: int
    escalated: int
    flagged: int
    asked: int
    large_usd: float | None
    """What the large model took; None = nothing of it is known."""
    unpriced: int
    """Escalations whose cost is unknown: `large_usd` lacks them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    answers: int
    """Judged attempts of agents."""
    before: Tally
    """As recorded."""
    after: Tally
    """As it would have been; its costs are predicted."""
    changes: tuple[Change, ...]


@dataclass(slots=True)
class _Book:
    """What was spent so far in the replayed world."""

    scopes: dict[tuple[SpendingScope, str], Spending] = field(
        default_factory=lambda: defaultdict[tuple[SpendingScope, str], Spending](Spending)
    )

    def spent(self, step: StepRow) -> dict[SpendingScope, Spending]:
        return {scope: self.scopes[scope, key] for scope, key in _keys(step).items()}

    def judged(self, step: StepRow) -> None:
        for key in _keys(step).items():
            self.scopes[key] = replace(self.scopes[key], answers=self.scopes[key].answers + 1)

    def escalated(self, step: StepRow, usd: float | None) -> None:
        for key in _keys(step).items():
            was = self.scopes[key]
            self.scopes[key] = replace(
                was, escalated=was.escalated + 1, calls=was.calls + 1, usd=was.usd + (usd or 0.0)
            )


def replay(
    records: Sequence[RunRecord], policy: Policy, *, budget: Budget, forecast: Forecast | None
) -> Replay:
    """Judge every recorded answer anew, in the order in which they were given.

    Args:
        records: the runs.
        policy: the judge, with the settings and certificates to try.
        budget: counted in predicted cost, from nothing.
        forecast: of the large model; None = there is none.

    Raises:
        ConfigError: a limit in seconds or joules, which nobody can predict.
    """
    _check(budget)
    answers = [(record, step) for record in records for step in record.steps if _is_answer(step)]
    answers.sort(key=lambda pair: pair[1].started_at)
    book, fates, changes = _Book(), list[tuple[Fate, float | None]](), list[Change]()
    for record, step in answers:
        book.judged(step)
        verdict, usd = _decide(record, step, policy, budget=budget, forecast=forecast, book=book)
        after = _FATES[verdict.action] if verdict is not None else "asked"
        before = _fate(record, step)
        fates.append((after, usd))
        if after != before:
            changes.append(
                Change(
                    run_id=record.run.id,
                    subtask_id=step.subtask_id,
                    agent=str(step.agent),
                    input=step.input,
                    before=before,
                    after=after,
                    verdict=verdict,
                    expected_usd=usd,
                )
            )
    return Replay(
        answers=len(answers),
        before=_tally([(_fate(record, step), _took(record, step)) for record, step in answers]),
        after=_tally(fates),
        changes=tuple(changes),
    )


_FATES: Mapping[str, Fate] = {"accept": "kept", "escalate": "escalated", "abstain": "flagged"}


def _decide(
    record: RunRecord,
    step: StepRow,
    policy: Policy,
    *,
    budget: Budget,
    forecast: Forecast | None,
    book: _Book,
) -> tuple[Verdict | None, float | None]:
    """The verdict on one answer, and what following it is expected to cost. None = ask the agent."""
    calls = _calls(record, step)
    verdict = _judge(step, policy, calls, large=forecast is not None)
    if verdict is None:
        return None, 0.0
    if verdict.action != "escalate" or forecast is None:
        return verdict, 0.0
    # Tokens of the large model's own answer where there was one, else those of the local one.
    sent = [call for row in _escalated(record, step) for call in _calls(record, row)] or calls[-1:]
    known = [forecast.expected_usd(_usage(call)) for call in sent]
    usd = add_known(*known) if None not in known else None
    refusal = check_budget(budget, book.spent(step))
    if refusal is not None:
        reason = f"{verdict.reason} It would not be asked: {refusal.reason}."
        return replace(verdict, action="abstain", reason=reason), 0.0
    book.escalated(step, usd)
    return verdict, usd


def _judge(step: StepRow, policy: Policy, calls: Sequence[CallRow], *, large: bool) -> Verdict | None:
    """The verdict before the call where there is one, else that on the answer; None = there was none."""
    assert step.signals is not None, "an answer has signals"
    agent, digest = str(step.agent), calls[-1].digest if calls else None
    was_foreseen = step.action == "escalate" and not calls
    if large and (was_foreseen or policy.speaks_for(agent, digest)):
        looked_up = step.signals.retrieval_support is not None  # who looks passages up is always asked
        if not looked_up and (verdict := policy.foresee(agent, step.signals)) is not None:
            return verdict
    if was_foreseen:
        return None
    return policy.judge(agent, step.signals, digest=digest, large=large)


def _check(budget: Budget) -> None:
    for unit in METERED:
        if unit != "usd" and any(budget.limit(unit, scope) is not None for scope in SCOPES):
            raise ConfigError(
                f"a budget in {unit} cannot be replayed",
                why="how long a call would take, and of how much power, was not recorded by asking nobody",
                mend="a limit in calls, share or usd",
            )


def _is_answer(step: StepRow) -> bool:
    is_judged = step.signals is not None and step.action is not None
    return step.agent is not None and not step.escalated and is_judged


def _fate(record: RunRecord, step: StepRow) -> Fate:
    if step.action == "accept":
        return "kept"
    sent = _escalated(record, step)
    return "escalated" if sent and sent[-1].action == "accept" else "flagged"


def _escalated(record: RunRecord, step: StepRow) -> list[StepRow]:
    return [row for row in record.steps if row.escalated and row.subtask_id == step.subtask_id]


def _took(record: RunRecord, step: StepRow) -> float | None:
    calls = [call for row in _escalated(record, step) for call in _calls(record, row)]
    return add_known(*(call.cost_usd for call in calls)) if calls else 0.0


def _calls(record: RunRecord, step: StepRow) -> list[CallRow]:
    return [call for call in record.calls if call.step_id == step.id]


def _usage(call: CallRow) -> Usage:
    return Usage(
        input_tokens=call.input_tokens, output_tokens=call.output_tokens, cached_tokens=call.cached_tokens
    )


def _tally(fates: Sequence[tuple[Fate, float | None]]) -> Tally:
    names = [fate for fate, _ in fates]
    return Tally(
        kept=names.count("kept"),
        escalated=names.count("escalated"),
        flagged=names.count("flagged"),
        asked=names.count("asked"),
        large_usd=add_known(*(usd for _, usd in fates)),
        unpriced=sum(usd is None for _, usd in fates),
    )


def _keys(step: StepRow) -> dict[SpendingScope, str]:
    day = dt.datetime.fromtimestamp(step.started_at, tz=dt.UTC).date().isoformat()
    return {"run": step.run_id, "agent": f"{day} {step.agent}", "day": day}
