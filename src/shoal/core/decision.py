"""What the router and the policy decide, and what they decide on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Action", "Decision", "Judged", "Neighbour", "Signals", "Subtask", "Verdict"]

Action = Literal["accept", "repair", "escalate", "abstain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtask:
    """One unit of work after a request is split."""

    id: str
    """Unique in its run: "1", "2", ..."""
    text: str
    start: int
    """Where the text stands in the request, in characters."""
    end: int
    depends_on: tuple[str, ...] = ()
    """Subtasks whose answers this one needs first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A labelled example near the text: the explanation of a decision."""

    text: str
    agent: str | None
    similarity: float
    """Cosine, in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where a text goes."""

    agent: str | None
    """None = abstained: no agent fits."""
    confidence: float | None
    """Probability that `best` is right, in [0, 1]; None = unknown."""
    calibrated: bool
    """False: `confidence` orders decisions but promises no rate."""
    best: str | None
    """The agent with the highest score, also when abstaining; None when there are no agents."""
    margin: float
    """Score of the best agent minus that of the second, in [0, 1]."""
    threshold: float
    """Abstains below this confidence."""
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    """Per agent, in [0, 1]. They sum to at most 1; what is missing is "none of them"."""
    nearest: tuple[Neighbour, ...] = ()
    reason: str = ""
    """One sentence for a person."""

    @property
    def abstained(self) -> bool:
        return self.agent is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """All that says how far one attempt can be trusted. `None` = not looked at."""

    label_probability: float | None = None
    """Renormalised over the allowed labels, in [0, 1]."""
    min_value_logprob: float | None = None
    """Lowest logprob among the tokens that count, <= 0: where a grammar forces JSON those of the *values*,
    and all where the model has learnt to say it."""
    mean_value_logprob: float | None = None
    margin: float | None = None
    """Probability of the first minus the second alternative at the least sure value token."""
    schema_valid: bool | None = None
    checks_failed: tuple[str, ...] = ()
    """Names of the agent's own checks that the answer did not pass."""
    checks_passed: int = 0
    """How many of them it passed."""
    repairs: int = 0
    agreement: float | None = None
    """Share of further samples that gave the same answer, in [0, 1]."""
    self_check: float | None = None
    """P(true) by one token, in [0, 1]."""
    refusal: bool = False
    empty: bool = False
    truncated: bool = False
    retrieval_support: float | None = None
    """Best cosine between the question and the passages the answer rests on."""
    router_confidence: float | None = None
    router_margin: float | None = None
    difficulty: float | None = None
    """P(the small model fails), judged from the prompt alone, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the policy makes of an attempt."""

    action: Action
    reason: str
    confidence: float | None = None
    """P(acceptable), in [0, 1]; None = unknown."""
    calibrated: bool = False
    threshold: float | None = None
    certificate: str | None = None
    """Id of the certificate the threshold comes from; None = uncertified."""
    benefit: float | None = None
    """How much likelier the large model's answer is right, in [-1, 1]; None = unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was seen of an answer, and what the policy made of it."""

    signals: Signals
    verdict: Verdict
