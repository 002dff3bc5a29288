"""The judge: signals in, verdict out. Pure, far below a millisecond, and always with a reason.

It knows no models, budgets spent or people: the graph asks `budget.py` before it follows "escalate", and
pauses for consent. An answer that may not be escalated is flagged ("abstain"), never silently passed on.
"""

from collections.abc import Mapping
from dataclasses import replace

from shoal.core.decision import Signals, Verdict
from shoal.core.errors import ShoalError
from shoal.router.escalation.certificate import Certificate
from shoal.router.escalation.fault import find_fault
from shoal.router.escalation.settings import Escalation
from shoal.router.escalation.signal import prior_confidence

__all__ = ["Policy"]


class Policy:
    """Judges the attempts of every agent of a team."""

    def __init__(
        self, escalation: Escalation | None = None, *, certificates: Mapping[str, Certificate] | None = None
    ) -> None:
        self._escalation = escalation or Escalation()
        self._certificates = dict(certificates or {})

    def judge(
        self,
        agent: str,
        signals: Signals,
        *,
        failure: ShoalError | None = None,
        repairs_left: int = 0,
        large: bool,
    ) -> Verdict:
        """What becomes of one attempt.

        Args:
            agent: whose attempt it is; its certificate, if it has a valid one, sets the threshold.
            signals: what was seen.
            failure: why there is no usable answer.
            repairs_left: how often the same model may still be asked.
            large: a larger model can and may still be asked (there is one, consent and budget allow it).
        """
        fault = find_fault(signals, failure)
        if fault is not None:
            if fault.repairable and repairs_left > 0:
                return Verdict(action="repair", reason=_sentence(fault.what, "it is asked for again"))
            return _decline(fault.what, large=large)
        known = prior_confidence(signals)
        if known is None:
            what = "accepted on the hard checks alone: nothing measured how sure the model was"
            return Verdict(action="accept", reason=_sentence(what))
        confidence, signal = known
        threshold = self._escalation.threshold
        what = f"confidence {confidence:.2f} (set by the {signal.name}; {agent} has no certificate)"
        if confidence >= threshold:
            reason = _sentence(f"{what} reaches the threshold {threshold:.2f}")
            return Verdict(action="accept", reason=reason, confidence=confidence, threshold=threshold)
        declined = _decline(f"{what} is below the threshold {threshold:.2f}", large=large)
        return replace(declined, confidence=confidence, threshold=threshold)


def _decline(what: str, *, large: bool) -> Verdict:
    if large:
        return Verdict(action="escalate", reason=_sentence(what, "the larger model is asked"))
    return Verdict(action="abstain", reason=_sentence(what, "it is flagged: no larger model may be asked"))


def _sentence(what: str, consequence: str = "") -> str:
    text = f"{what}, so {consequence}." if consequence else f"{what}."
    return text[0].upper() + text[1:]
