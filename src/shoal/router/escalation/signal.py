"""The signals: what each says about an answer, on one scale, and what it costs to see.

`prior` is a documented guess of P(acceptable) from that signal alone. It is used while there are no
labelled rows, and called uncalibrated wherever it shows. A combiner learnt from labelled rows
(`combiner.py`) reads the same signals and replaces the guesses.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, final

from shoal.core.decision import Signals

__all__ = ["SIGNALS", "Cost", "Signal", "known_before", "prior_confidence"]

Cost = Literal["free", "extra tokens", "extra calls"]
"""What seeing the signal takes beyond the attempt itself. What is not free is off until it is asked for."""


class Signal(ABC):
    """One sign of how far an answer can be trusted."""

    name: ClassVar[str]
    """As a person reads it."""
    cost: ClassVar[Cost] = "free"
    of_answer: ClassVar[bool] = True
    """It looks at the answer itself, not at the way to it."""
    before: ClassVar[bool] = False
    """It is known before the agent is asked."""

    @abstractmethod
    def value(self, signals: Signals) -> float | None:
        """What was seen, as it was seen; None = not looked at."""

    @abstractmethod
    def prior(self, value: float) -> float:
        """Guess of P(acceptable) from this value alone, in [0, 1]."""

    @final
    def read(self, signals: Signals) -> float | None:
        """`prior` of what was seen. None also where an engine reported "not a number"."""
        value = self.value(signals)
        if value is None or math.isnan(value):
            return None
        return min(1.0, max(0.0, self.prior(value)))

    def guesses(self, signals: Signals) -> bool:
        """Whether `prior` means something for this kind of answer."""
        del signals
        return True


class LabelProbability(Signal):
    """Probability of the chosen label, renormalised over the allowed ones."""

    name = "label probability"

    def value(self, signals: Signals) -> float | None:
        return signals.label_probability

    def prior(self, value: float) -> float:
        return value


class ValueLogprob(Signal):
    """Geometric mean of the probabilities of the value tokens; of a free text, of all its tokens.

    Length-normalised likelihood, the inverse of perplexity (Malinin & Gales 2021, "Uncertainty Estimation
    in Autoregressive Structured Prediction"), without the tokens that a grammar forced.
    """

    name = "token probability"

    def value(self, signals: Signals) -> float | None:
        return signals.mean_value_logprob

    def prior(self, value: float) -> float:
        return math.exp(min(0.0, value))


class WeakestToken(Signal):
    """Probability of the least sure value token.

    One wrong digit spoils a value, but the longer the answer the lower it is, right or wrong: so it
    counts for little until rows say otherwise, and for nothing in a free text, where words have synonyms.
    """

    name = "least sure token"

    def guesses(self, signals: Signals) -> bool:
        return signals.schema_valid is not None

    def value(self, signals: Signals) -> float | None:
        return signals.min_value_logprob

    def prior(self, value: float) -> float:
        return 1 - (1 - math.exp(min(0.0, value))) / 3


class Margin(Signal):
    """First minus second alternative where the two were closest. As with the least sure token, it says
    nothing about a free text until rows say so.
    """

    name = "margin to the second-best token"

    def guesses(self, signals: Signals) -> bool:
        return signals.schema_valid is not None

    def value(self, signals: Signals) -> float | None:
        return signals.margin

    def prior(self, value: float) -> float:
        return 1 - (1 - value) / 3


class Repairs(Signal):
    """How often the answer had to be asked for again: each time it had been wrong."""

    name = "repairs"
    of_answer = False

    def value(self, signals: Signals) -> float | None:
        return float(signals.repairs) if signals.repairs else None

    def prior(self, value: float) -> float:
        return 0.9**value


class Agreement(Signal):
    """Share of further samples with the same answer (Wang et al. 2023, "Self-Consistency")."""

    name = "agreement between samples"
    cost = "extra calls"

    def value(self, signals: Signals) -> float | None:
        return signals.agreement

    def prior(self, value: float) -> float:
        return value


class SelfCheck(Signal):
    """P(true) by one token (Kadavath et al. 2022, "Language Models (Mostly) Know What They Know")."""

    name = "the model's own check"
    cost = "extra tokens"

    def value(self, signals: Signals) -> float | None:
        return signals.self_check

    def prior(self, value: float) -> float:
        return value


class Validation(Signal):
    """The agent's own checks: each that passes rules one fault out. Those that fail are hard faults.

    Every answer that gets as far has passed as many: it tells agents apart, not the answers of one.
    """

    name = "checks passed"

    def value(self, signals: Signals) -> float | None:
        return float(signals.checks_passed) if signals.checks_passed else None

    def prior(self, value: float) -> float:
        return 1 - 0.1**value


class RetrievalSupport(Signal):
    """Cosine between question and best passage.

    With all-MiniLM-L6-v2 a passage that answers the question lies around 0.45 to 0.7, an unrelated one
    below 0.25: a sigmoid halfway between them.
    """

    name = "support in the passages"
    of_answer = False

    def value(self, signals: Signals) -> float | None:
        return signals.retrieval_support

    def prior(self, value: float) -> float:
        return 1 / (1 + math.exp(-(max(-1.0, min(1.0, value)) - 0.3) / 0.08))


class RouterConfidence(Signal):
    """Is this the right agent at all?"""

    name = "router confidence"
    of_answer = False
    before = True

    def value(self, signals: Signals) -> float | None:
        return signals.router_confidence

    def prior(self, value: float) -> float:
        return value


class RouterMargin(Signal):
    """Lead of the chosen agent over the next."""

    name = "router margin"
    of_answer = False
    before = True

    def value(self, signals: Signals) -> float | None:
        return signals.router_margin

    def prior(self, value: float) -> float:
        return 1 - (1 - value) / 3


class Difficulty(Signal):
    """P(the small model fails), learnt from requests (`difficulty.py`)."""

    name = "difficulty of the request"
    of_answer = False
    before = True

    def value(self, signals: Signals) -> float | None:
        return signals.difficulty

    def prior(self, value: float) -> float:
        return 1 - value


SIGNALS: tuple[Signal, ...] = (
    LabelProbability(),
    ValueLogprob(),
    WeakestToken(),
    Margin(),
    Repairs(),
    Agreement(),
    SelfCheck(),
    RetrievalSupport(),
    RouterConfidence(),
    RouterMargin(),
    Difficulty(),
    Validation(),
)


def known_before(signals: Signals) -> Signals:
    """What of them is known before the agent is asked."""
    return Signals(
        router_confidence=signals.router_confidence,
        router_margin=signals.router_margin,
        difficulty=signals.difficulty,
    )


def prior_confidence(signals: Signals) -> tuple[float, str] | None:
    """Uncalibrated P(acceptable) and the name of its least signal; None when nothing looked at the answer.

    An answer is as sure as its least sure sign: each signal names a way to be wrong, so none can make up
    for another. What passed the agent's checks may be wrong in a way that they do not look for: that lowers
    all its answers alike, and leaves them in their order. That the right agent was asked is no sign that its
    answer is right.
    """
    read = {
        signal.name: value
        for signal in SIGNALS
        if signal.guesses(signals) and (value := signal.read(signals)) is not None
    }
    if not any(signal.of_answer and signal.name in read for signal in SIGNALS):
        return None
    least = min(read, key=lambda name: read[name])
    checked = read.pop(Validation.name, 1.0)
    return checked * min(read.values(), default=1.0), least
