"""What a user says about escalation: how many errors are bearable, what it may cost, who must agree.

Values only. `policy.py` judges by them, `budget.py` counts against them.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from shoal.core.errors import ConfigError
from shoal.tracing.spending import SpendingScope

__all__ = ["PRIOR_THRESHOLD", "Budget", "Consent", "Escalation"]

Consent = Literal["allow", "ask", "never"]
PRIOR_THRESHOLD = 0.7
"""Least confidence of an accepted answer where nothing was calibrated. Stricter than "more likely right
than wrong", because what models say of themselves is too high by 10 to 20 points (Guo et al. 2017,
"On Calibration of Modern Neural Networks"; Xiong et al. 2024, "Can LLMs Express Their Uncertainty?")."""

UNITS = ("calls", "share", "usd", "seconds", "joules")
SCOPES: tuple[SpendingScope, ...] = ("run", "agent", "day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits on what the large model may take. `None` = no limit, 0 = never ask it.

    `per_run` counts one run, `per_agent` one agent's escalations of the day, `per_day` everything of the
    day. The day is the calendar day in UTC.

    Raises:
        ConfigError: a limit is negative or not a number, a share is above 1, or a limit that contains
            another is the smaller one.
    """

    calls_per_run: int | None = None
    calls_per_agent: int | None = None
    calls_per_day: int | None = None
    share_per_run: float | None = None
    """Of the answers judged so far, the part that may be escalated, in [0, 1]."""
    share_per_agent: float | None = None
    share: float | None = None
    """Of all answers judged this day, in [0, 1]."""
    usd_per_run: float | None = None
    usd_per_agent: float | None = None
    usd_per_day: float | None = None
    seconds_per_run: float | None = None
    """Seconds spent waiting for the large model."""
    seconds_per_agent: float | None = None
    seconds_per_day: float | None = None
    joules_per_run: float | None = None
    joules_per_agent: float | None = None
    joules_per_day: float | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            limit = getattr(self, item.name)
            if limit is None:
                continue
            if not limit >= 0:
                raise ConfigError(f"Budget({item.name}={limit})", why="a limit is 0 or more, or None")
            if item.name.startswith("share") and limit > 1:
                raise ConfigError(
                    f"Budget({item.name}={limit})",
                    why="a share lies in [0, 1]",
                    mend=f"Budget({item.name}=0.3)",
                )
        for unit in UNITS:
            if unit != "share":  # a run may escalate a larger part of its answers than the day does
                self._check_nesting(unit)

    def limit(self, unit: str, scope: str) -> float | None:
        """The limit for one of `UNITS` in one of `SCOPES`; None = none."""
        return getattr(self, "share" if (unit, scope) == ("share", "day") else f"{unit}_per_{scope}")

    def _check_nesting(self, unit: str) -> None:
        day = self.limit(unit, "day")
        for scope in ("run", "agent"):
            inner = self.limit(unit, scope)
            if day is not None and inner is not None and inner > day:
                raise ConfigError(
                    f"Budget({unit}_per_{scope}={inner:g}, {unit}_per_day={day:g}) contradicts itself",
                    why=f"one {scope} could never use more than the whole day may",
                    mend=f"Budget({unit}_per_{scope}={day:g}, {unit}_per_day={day:g})",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """When an answer is kept, and what asking the large model may cost.

    Raises:
        ConfigError: a rate is outside (0, 1), or `consent` is none of its three words.
    """

    max_error: float | None = None
    """Bearable share of wrong answers among those kept local, in (0, 1). A certificate that promises
    this much or less sets the threshold; None = any certificate of the agent does."""
    confidence: float = 0.95
    """How sure the promise must be, in (0, 1)."""
    threshold: float = PRIOR_THRESHOLD
    """Least confidence of an accepted answer for agents without a valid certificate, in [0, 1]."""
    samples: int = 0
    """Further answers of the agent's own model, compared with the first: 0 to 20, each one more call."""
    self_check: bool = False
    """Ask that model whether it believes its answer: one more call, of one token."""
    budget: Budget = field(default_factory=Budget)
    consent: Consent = "allow"
    """May a text go to a large model on another machine? "ask" pauses the run for a person, "never" keeps
    everything local. A large model on this machine needs no consent."""

    def __post_init__(self) -> None:
        if self.max_error is not None and not 0 < self.max_error < 1:
            raise ConfigError(
                f"Escalation(max_error={self.max_error})",
                why="it is a share of wrong answers: above 0 (nobody can promise no error) and below 1",
                mend="Escalation(max_error=0.05)",
            )
        if not 0 < self.confidence < 1:
            raise ConfigError(
                f"Escalation(confidence={self.confidence})",
                why="certainty cannot be had: it lies between 0 and 1",
                mend="Escalation(confidence=0.95)",
            )
        if not 0 <= self.threshold <= 1 or math.isnan(self.threshold):
            raise ConfigError(
                f"Escalation(threshold={self.threshold})",
                why="a threshold is compared with a probability",
                mend=f"Escalation(threshold={PRIOR_THRESHOLD})",
            )
        if not 0 <= self.samples <= 20:
            raise ConfigError(
                f"Escalation(samples={self.samples})",
                why="an answer is compared with 0 to 20 others",
                mend="Escalation(samples=3)",
            )
        if self.consent not in ("allow", "ask", "never"):
            raise ConfigError(
                f"Escalation(consent={self.consent!r})",
                why='it is one of "allow", "ask" and "never"',
                mend='Escalation(consent="ask")',
            )
