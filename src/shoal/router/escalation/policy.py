"""The judge: signals in, verdict out. Pure, far below a millisecond, and always with a reason.

It knows no models, no money and no people: the graph says whether a larger model can and may be asked,
asks `budget.py` before it follows "escalate", and pauses for consent. An answer that may not be escalated
is flagged ("abstain"), never silently passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shoal.core.decision import Signals, Verdict
from shoal.core.errors import ConfigError, ShoalError
from shoal.router.escalation.certificate import Certificate, Digests
from shoal.router.escalation.fault import find_fault
from shoal.router.escalation.settings import Escalation
from shoal.router.escalation.signal import prior_confidence

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sworn:
    """A certificate with what is needed of it for every attempt, worked out once."""

    certificate: Certificate
    id: str
    threshold: float
    promise: str


class Policy:
    """Judges the attempts of every agent of a team.

    Args:
        escalation: the user's settings.
        certificates: by agent name; those that do not count today are named in the reasons.
        digests: by agent name, of the agents as they are now. A certificate is void where they differ from
            its own; an agent without an entry is taken to be unchanged.

    Raises:
        ConfigError: a certificate is given for another agent than its own.
    """

    def __init__(
        self,
        escalation: Escalation | None = None,
        *,
        certificates: Mapping[str, Certificate] | None = None,
        digests: Mapping[str, Digests] | None = None,
    ) -> None:
        self._escalation = escalation or Escalation()
        self._sworn: dict[str, _Sworn] = {}
        self._unsworn: dict[str, str] = {}
        for agent, certificate in (certificates or {}).items():
            self._admit(agent, certificate, (digests or {}).get(agent))

    def without_certificates(self) -> "Policy":
        """The judge for answers of the large model: certificates speak of the agents' own models."""
        return Policy(self._escalation)

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
        sworn = self._sworn.get(agent)
        if sworn is None:
            return self._judge_unsworn(
                signals, self._unsworn.get(agent, f"{agent} has no certificate"), large
            )
        missing = sworn.certificate.combiner.missing(signals)
        if missing:
            return self._judge_unsworn(
                signals, f"its certificate needs the {' and the '.join(missing)}", large
            )
        return _judge_sworn(sworn, signals, large=large)

    def foresee(self, agent: str, difficulty: float, *, large: bool) -> Verdict | None:
        """Spare a call whose answer could not be kept, by the difficulty of the request alone.

        Returns:
            "escalate" when no answer of the agent would be accepted, however sure it looked and a larger
            model can be asked; None = let the agent try.
        """
        if not large:
            return None
        sworn = self._sworn.get(agent)
        if sworn is None:
            best, threshold = 1 - difficulty, self._escalation.threshold
        else:
            best = sworn.certificate.combiner.best_confidence(difficulty)
            threshold = sworn.threshold
        if best >= threshold:
            return None
        what = f"no answer to this could be surer than {best:.2f}, below the threshold {threshold:.2f}"
        return Verdict(
            action="escalate",
            reason=_sentence(what, "the larger model is asked at once"),
            confidence=best,
            calibrated=sworn is not None,
            threshold=threshold,
            certificate=sworn.id if sworn else None,
        )

    def expected_benefit(self, agent: str, signals: Signals) -> float | None:
        """P(large right) - P(small right), in [-1, 1]; None = nothing was learnt of the large model."""
        sworn = self._sworn.get(agent)
        return sworn.certificate.combiner.expected_benefit(signals) if sworn else None

    def _admit(self, agent: str, certificate: Certificate, now: Digests | None) -> None:
        if certificate.agent != agent:
            raise ConfigError(
                f"the certificate given for {agent} is {certificate.agent}'s",
                why="a promise made for one agent says nothing about another",
                mend=f"shoal calibrate DATA --agent {agent}",
            )
        why = certificate.unusable(
            max_error=self._escalation.max_error, level=self._escalation.confidence, now=now
        )
        if why is not None or certificate.threshold is None:
            self._unsworn[agent] = why or ""
            return
        self._sworn[agent] = _Sworn(
            certificate=certificate,
            id=certificate.id,
            threshold=certificate.threshold,
            promise=f"at most {certificate.max_error:.0%} of the answers kept are wrong, "
            f"{certificate.level:.0%} sure",
        )

    def _judge_unsworn(self, signals: Signals, why: str, large: bool) -> Verdict:  # noqa: FBT001
        known = prior_confidence(signals)
        if known is None:
            what = f"accepted on the hard checks alone: nothing measured how sure the model was, and {why}"
            return Verdict(action="accept", reason=_sentence(what))
        confidence, signal = known
        threshold = self._escalation.threshold
        what = f"confidence {confidence:.2f} (set by the {signal.name}, uncalibrated: {why})"
        if confidence >= threshold:
            verdict = Verdict(
                action="accept", reason=_sentence(f"{what} reaches the threshold {threshold:.2f}")
            )
        else:
            verdict = _decline(f"{what} is below the threshold {threshold:.2f}", large=large)
        return replace(verdict, confidence=confidence, threshold=threshold)


def _judge_sworn(sworn: _Sworn, signals: Signals, *, large: bool) -> Verdict:
    combiner = sworn.certificate.combiner
    confidence = combiner.confidence(signals)
    what = f"confidence {confidence:.2f}"
    if confidence >= sworn.threshold:
        what += f" reaches the threshold {sworn.threshold:.2f} ({sworn.promise})"
        verdict = Verdict(action="accept", reason=_sentence(what))
    else:
        what += f" is below the threshold {sworn.threshold:.2f} ({sworn.promise})"
        benefit = combiner.expected_benefit(signals)
        if large and benefit is not None and benefit <= 0:
            what += " and the larger model is not expected to do better"
            verdict = Verdict(action="abstain", reason=_sentence(what, "it is flagged"))
        else:
            verdict = _decline(what, large=large)
    return replace(
        verdict, confidence=confidence, calibrated=True, threshold=sworn.threshold, certificate=sworn.id
    )


def _decline(what: str, *, large: bool) -> Verdict:
    if large:
        return Verdict(action="escalate", reason=_sentence(what, "the larger model is asked"))
    return Verdict(action="abstain", reason=_sentence(what, "it is flagged: no larger model may be asked"))


def _sentence(what: str, consequence: str = "") -> str:
    text = f"{what}, so {consequence}." if consequence else f"{what}."
    return text[0].upper() + text[1:]
