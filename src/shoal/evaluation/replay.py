"""Recorded runs decided again, under another promise, price or budget. No model is asked.

What it cannot know: whether the large model would have been right. It says which answers would have been
kept, sent on or flagged, and what the sending would have cost.
"""

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, final

from shoal.core.decision import Verdict
from shoal.core.errors import ConfigError, RunError, ShoalError
from shoal.core.usage import Usage, add_known
from shoal.router.escalation import Budget, Policy
from shoal.router.escalation.budget import METERED, check_budget
from shoal.router.escalation.metered_model import check_countable
from shoal.router.escalation.settings import SCOPES
from shoal.tracing.forecast import Forecast
from shoal.tracing.record import CallRow, RunRecord, StepRow
from shoal.tracing.spending import Spending, SpendingScope

__all__ = ["Change", "Replay", "Tally", "replay"]

Fate = Literal["kept", "escalated", "flagged", "asked"]
"""escalated: sent to the large model, whatever that made of it; of a run that has not ended also what is
about to be. asked: the agent, which was passed over when the run was recorded. Nobody knows what it would
have said."""
PROBES = ("sample", "self_check")
"""Purposes of calls that only look at an answer."""
ENDED = ("done", "flagged")
"""States of runs in which every answer has met its fate."""


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


def replay(
    records: Sequence[RunRecord], policy: Policy, *, budget: Budget, forecast: Forecast | None
) -> Replay:
    """Judge every recorded answer anew, in the order in which they were given.

    As in a run, what is asked at once is judged before any of it is sent on. What a person forbade stays
    forbidden; where nobody was asked, a yes is assumed.

    Args:
        records: the runs.
        policy: the judge, with the settings and certificates to try.
        budget: counted in predicted cost, from nothing. Where that is unknown of one answer, it counts as
            the dearest of the others.
        forecast: of the large model; None = there is none.

    Raises:
        ConfigError: a limit in seconds or joules, which nobody can predict, or one in USD where nobody knows
            what the large model costs.
    """
    _check(budget, forecast)
    cases = [case for record in records for case in _cases(record)]
    cases.sort(key=lambda case: case.step.started_at)
    _Again(policy, budget, forecast).decide(cases)
    return Replay(
        answers=len(cases),
        before=_tally([(case.before, _took(case)) for case in cases]),
        after=_tally([(case.after, case.usd) for case in cases]),
        changes=tuple(
            Change(
                run_id=case.record.run.id,
                subtask_id=case.step.subtask_id,
                agent=str(case.step.agent),
                input=case.step.input,
                before=case.before,
                after=case.after,
                verdict=case.verdict,
                expected_usd=case.usd,
            )
            for case in cases
            if case.before != case.after
        ),
    )


_FATES: Mapping[str, Fate] = {"accept": "kept", "escalate": "escalated", "abstain": "flagged"}


@dataclass(slots=True, kw_only=True)
class _Case:
    """One judged attempt of an agent: what was recorded of it, and what becomes of it now."""

    record: RunRecord
    step: StepRow
    calls: Sequence[CallRow]
    """Of the answer, without those that only looked at it."""
    visits: Sequence[StepRow]
    """To the large model; the budget may have refused them."""
    sent_at: float
    """When it was, or would have been, sent on."""
    verdict: Verdict | None = None
    """None = not judged yet; in the end, the agent would be asked."""
    usd: float | None = 0.0
    """Of sending it; None = unknown."""

    @property
    def before(self) -> Fate:
        if self.step.action != "escalate" or self.is_forbidden:
            return "kept" if self.step.action == "accept" else "flagged"
        refused = {row.step_id for row in self.record.refused}
        if any(visit.id not in refused for visit in self.visits):
            return "escalated"
        # Of what was not sent, a run that has ended was refused it; another one still waits to do so.
        return "flagged" if self.visits or self.record.run.status in ENDED else "escalated"

    @property
    def after(self) -> Fate:
        return _FATES[self.verdict.action] if self.verdict is not None else "asked"

    @property
    def was_foreseen(self) -> bool:
        """Escalated before the agent was asked. A fault may have no call either, but no certificate."""
        return self.step.action == "escalate" and self.step.certificate is not None and not self.calls

    @property
    def is_forbidden(self) -> bool:
        """A person said no to sending it."""
        said = [row for row in self.record.steps if row.subtask_id == self.step.subtask_id]
        return any(row.node == "consent" and row.action == "abstain" for row in said)

    @property
    def has_acted(self) -> bool:
        """A tool of the attempt changed something, which a larger model would do a second time."""
        place = f"{self.step.agent}/{self.step.subtask_id}"
        return any(effect.node == place for effect in self.record.effects)


@dataclass(slots=True)
class _Book:
    """What was spent so far in the replayed world."""

    scopes: dict[tuple[SpendingScope, str], Spending] = field(
        default_factory=lambda: defaultdict[tuple[SpendingScope, str], Spending](Spending)
    )

    def spent(self, step: StepRow, at: float) -> dict[SpendingScope, Spending]:
        return {scope: self.scopes[scope, key] for scope, key in _keys(step, at).items()}

    def judged(self, step: StepRow) -> None:
        for key in _keys(step, step.started_at).items():
            self.scopes[key] = replace(self.scopes[key], answers=self.scopes[key].answers + 1)

    def escalated(self, step: StepRow, at: float, *, calls: int, usd: float) -> None:
        for key in _keys(step, at).items():
            was = self.scopes[key]
            self.scopes[key] = replace(
                was, escalated=was.escalated + 1, calls=was.calls + calls, usd=was.usd + usd
            )


@final
class _Again:
    """Takes the decisions of a run once more, in the order in which a run takes them."""

    def __init__(self, policy: Policy, budget: Budget, forecast: Forecast | None) -> None:
        self._policy = policy
        self._budget = budget
        self._forecast = forecast
        self._book = _Book()
        self._dearest: float | None = None

    def decide(self, cases: Sequence[_Case]) -> None:
        """Give every case its verdict and what following it costs."""
        known = [usd for case in cases if (usd := self._expected(case)) is not None]
        self._dearest = max(known, default=None)
        moments = [(case.step.started_at, self._foresee, case) for case in cases]
        moments += [(case.step.ended_at or case.step.started_at, self._judge, case) for case in cases]
        moments += [(case.sent_at, self._send, case) for case in cases]
        for _, act, case in sorted(moments, key=lambda moment: moment[0]):
            act(case)

    def _foresee(self, case: _Case) -> None:
        """Before the call. Where the budget is used up the agent is asked: its answer can be looked at."""
        step, agent = case.step, str(case.step.agent)
        assert step.signals is not None, "an answer has signals"
        digest = case.calls[-1].digest if case.calls else None
        is_known = digest is not None and self._policy.speaks_for(agent, digest)
        if self._forecast is None or not (case.was_foreseen or is_known):
            return
        if step.signals.retrieval_support is not None:
            return  # who looks passages up is always asked
        if check_budget(self._budget, self._book.spent(step, step.started_at)) is None:
            case.verdict = self._policy.foresee(agent, step.signals)

    def _judge(self, case: _Case) -> None:
        step, last = case.step, case.calls[-1] if case.calls else None
        self._book.judged(step)
        if case.verdict is not None or case.was_foreseen:
            return
        assert step.signals is not None, "an answer has signals"
        case.verdict = self._policy.judge(
            str(step.agent),
            step.signals,
            failure=_failure(case),
            digest=(last.digest or last.model_name) if last else None,  # as `ChatResponse.made_by` says it
            large=self._forecast is not None and not case.has_acted,
        )

    def _send(self, case: _Case) -> None:
        """Send on what is to be, as far as budget and people allow."""
        verdict, step = case.verdict, case.step
        if verdict is None or verdict.action != "escalate" or self._forecast is None:
            return
        why = None
        if refusal := check_budget(self._budget, self._book.spent(step, case.sent_at)):
            why = f"It would not be asked: {refusal.reason}."
        elif self._forecast.remote and case.is_forbidden:
            why = "A person forbade it, so the answer is flagged."
        if why is not None:
            case.verdict = replace(verdict, action="abstain", reason=f"{verdict.reason} {why}")
            return
        case.usd = self._expected(case)
        # As many calls as it took then: a repair of the large model's answer is a call of its own.
        visits = {visit.id for visit in case.visits}
        granted = sum(row.refusal is None and row.step_id in visits for row in case.record.escalations)
        self._book.escalated(step, case.sent_at, calls=max(1, granted), usd=self._counted(case.usd))

    def _expected(self, case: _Case) -> float | None:
        """Price of the tokens of the large model's own answer where there was one, else of the local one."""
        if self._forecast is None:
            return None
        sent = [call for visit in case.visits for call in _calls(case.record, visit)]
        priced = [call for call in sent if call.status == "ok"]
        # That a function reads no tokens says nothing of how many the large model would.
        priced = priced or [call for call in case.calls[-1:] if call.input_tokens != 0]
        known = [self._forecast.expected_usd(_usage(call)) for call in priced]
        return add_known(*known) if None not in known else None

    def _counted(self, usd: float | None) -> float:
        """What an escalation counts as in a budget."""
        if usd is not None or not _limits(self._budget, "usd"):
            return usd or 0.0
        if self._dearest is None:
            raise ConfigError(
                "a budget in usd cannot be replayed",
                why="of no answer it is known what sending it would cost, and what is unknown is not 0",
                mend="a limit in calls or share",
            )
        return self._dearest


def _check(budget: Budget, forecast: Forecast | None) -> None:
    for unit in METERED:
        if unit != "usd" and _limits(budget, unit):
            raise ConfigError(
                f"a budget in {unit} cannot be replayed",
                why="how long a call would take, and of how much power, was not recorded by asking nobody",
                mend="a limit in calls, share or usd",
            )
    if forecast is not None:
        check_countable(budget, forecast)


def _limits(budget: Budget, unit: str) -> bool:
    return any(budget.limit(unit, scope) is not None for scope in SCOPES)


def _cases(record: RunRecord) -> list[_Case]:
    """The judged attempts of a run. Those that began between the same two visits, to the large model or a
    person, are sent on together, once the last of them was judged.
    """
    answers = [step for step in record.steps if _is_answer(step)]
    visits = [row for row in record.steps if row.escalated or row.node == "consent"]
    visited = [row.started_at for row in visits] + [row.asked_at for row in record.escalations]
    visited.sort()
    waves = [bisect_left(visited, step.started_at) for step in answers]
    settled: dict[int, float] = {}
    for wave, step in zip(waves, answers, strict=True):
        settled[wave] = max(settled.get(wave, 0.0), step.ended_at or step.started_at)
    own = [[row for row in visits if row.subtask_id == step.subtask_id] for step in answers]
    return [
        _Case(
            record=record,
            step=step,
            calls=[call for call in _calls(record, step) if call.purpose not in PROBES],
            visits=[row for row in mine if row.escalated],
            sent_at=max([settled[wave], *(row.started_at for row in mine)]),
        )
        for wave, step, mine in zip(waves, answers, own, strict=True)
    ]


def _is_answer(step: StepRow) -> bool:
    is_judged = step.signals is not None and step.action is not None
    return step.agent is not None and not step.escalated and is_judged


def _failure(case: _Case) -> ShoalError | None:
    """Why there was no usable answer, which its signals need not say; None = there was one.

    Only faults are declined without a threshold to compare with.
    """
    step, has_broken_off = case.step, any(call.status != "ok" for call in case.calls[-1:])
    if step.action == "accept" or (step.threshold is not None and not has_broken_off):
        return None
    return RunError(f'it was judged "{step.reason}"')


def _took(case: _Case) -> float | None:
    calls = [call for visit in case.visits for call in _calls(case.record, visit)]
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


def _keys(step: StepRow, at: float) -> dict[SpendingScope, str]:
    day = dt.datetime.fromtimestamp(at, tz=dt.UTC).date().isoformat()
    return {"run": step.run_id, "agent": f"{day} {step.agent}", "day": day}
