"""What a tuning is given, says while it runs, and gives back. No torch here: the orchestrator reads these."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shoal.core.chat import Message

__all__ = ["TuneProgress", "TuneReport", "TuneRow", "TuneSettings", "Tuned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """A recipe. The same settings, rows, base and machine give the same adapter, as long as the budget
    does not cut the steps short.
    """

    rank: int = 8
    """Of each LoRA pair: 4.9 MB of adapter for a 135M base at 8, in proportion."""
    alpha: float = 16.0
    """The update is scaled by alpha / rank."""
    learning_rate: float = 2.5e-3
    """At its highest; rises over the first steps and then falls to nothing, however many steps there are."""
    passes: float = 3.0
    """Over the rows, at most: the budget may allow fewer."""
    batch: int = 32
    """Rows a step."""
    budget_minutes: float | None = None
    """Wall clock, over all resumed parts together; None = as long as the passes take."""
    seed: int = 0
    max_tokens: int = 2048
    """Of a row's prompt and answer; a longer row is refused."""
    checkpoint_every_s: float = 60.0
    """At most this much work is lost when the process is killed."""


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
