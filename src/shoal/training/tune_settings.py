"""What a tuning is given, says while it runs, and gives back. No torch here: the orchestrator reads these."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shoal.core.chat import Message

__all__ = ["Matrices", "TuneProgress", "TuneReport", "TuneRow", "TuneSettings", "Tuned"]

Matrices = Literal["feed-forward", "all"]
"""Which of a layer's get a pair: the three of its feed-forward part, or those of attention as well."""
FEWEST_PASSES, MOST_PASSES = 3, 12
ENOUGH_STEPS = 800
"""Neither was searched for: on SNIPS 1,051 steps gave one point more than 696, and eight passes over 600 rows
were still learnt from (docs/specialists.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """A recipe. The same settings, rows, base and machine give the same adapter, as long as the budget
    does not cut the steps short.
    """

    rank: int = 16
    """Of each LoRA pair: 6.1 MB of adapter for a 135M base at 16, in proportion; 9.8 MB with all matrices."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    matrices: Matrices = "feed-forward"
    """Attention's four on top learn no better in the same number of steps (docs/specialists.md), and each is
    two small products more for every token served."""
    learning_rate: float = 2e-3
    """At its highest; rises over the first steps and then falls to nothing, however many steps there are."""
    passes: float | None = None
    """Over the rows, at most: the budget may allow fewer. None = three; where they are few, as many as make
    `ENOUGH_STEPS`, and at most `MOST_PASSES`."""
    batch: int = 16
    """Rows a step. In one short pass, twice as many learnt far less from the same rows; in 50 minutes of
    training nothing was to be seen of it."""
    budget_minutes: float | None = None
    """Wall clock, over all resumed parts together; None = as long as the passes take."""
    seed: int = 0
    max_tokens: int = 2048
    """Of a row's prompt and answer; a longer row is refused."""
    checkpoint_every_s: float = 60.0
    """At most this much work is lost when the process is killed."""

    def steps(self, rows: int) -> int:
        """That so many rows make."""
        a_pass = math.ceil(rows / self.batch)
        if self.passes is not None:
            return math.ceil(self.passes * a_pass)
        return a_pass * max(FEWEST_PASSES, min(MOST_PASSES, math.ceil(ENOUGH_STEPS / a_pass)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRow:
    """One example: what the model will be served, and what it shall answer."""

    messages: tuple[Message, ...]
    """As at serving time, system first."""
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneProgress:
    """Said after every step."""

    steps_done: int
    steps_planned: int
    """Fewer than the passes ask for, where the budget is short; may fall or rise while running."""
    seconds_left: float
    loss: float
    """Mean over answer tokens of the last step's rows, nats."""


TuneReport = Callable[[TuneProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A finished tuning."""

    adapter: Path
    """A GGUF, in the working folder; complete."""
    settings: TuneSettings
    base_digest: str
    """`sha256:...` of the GGUF it was tuned on, and fits."""
    rows: int
    steps: int
    seconds: float
    """Wall clock in the steps, over all resumed parts."""
    energy_j: float | None
    """Of the processor or the cards, other programs and idle included; None = this machine cannot tell."""
    device: str
    """"cpu" or the graphics card's name."""
    loss: float
    """Mean over the last tenth of the steps, nats an answer token."""
