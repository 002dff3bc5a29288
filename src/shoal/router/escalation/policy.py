"""The judge: signals in, verdict out. Pure, far below a millisecond, and always with a reason.

It knows no models, no money and no people: the graph says whether there is a larger model that may be
asked, pauses for consent, and counts against the budget. An answer that may not be escalated is flagged
("abstain"), never silently passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shoal.core.decision import Signals, Verdict
from shoal.core.errors import ConfigError, ShoalError
from shoal.router.escalation.certificate import Certificate, Digests
from shoal.router.escalation.fault import find_fault
from shoal.router.escalation.settings import Escalation
from shoal.router.escalation.signal import known_before, prior_confidence

__all__ = ["LargePolicy", "Policy"]


FLAGGED = "it is flagged"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unsworn:
    """Why an agent has no certificate that counts, and the threshold it had: the stricter one holds."""

    why: str
    threshold: float | None = None


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
            its own; an agent without an entry is taken to be unchanged. What they say of the model is not
            read: every answer says which weights gave it.

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
        self._unsworn: dict[str, _Unsworn] = {}
        for agent, certificate in (certificates or {}).items():
            self._admit(agent, certificate, (digests or {}).get(agent))

    def judge(
        self,
        agent: str,
        signals: Signals,
        *,
        failure: ShoalError | None = None,
        digest: str | None = None,
        repairs_left: int = 0,
        large: bool,
    ) -> Verdict:
        """What becomes of one attempt.

        Args:
            agent: whose attempt it is; its certificate, if it has a valid one, sets the threshold.
            signals: what was seen.
            failure: why there is no usable answer.
            digest: of the weights that gave the answer; other ones than the certificate's make it void.
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
            unsworn = self._unsworn.get(agent) or _Unsworn(why=f"{agent} has no certificate")
            return self._judge_unsworn(signals, unsworn, large=large)
        why = None
        if digest != sworn.certificate.digests.model:
            why = "its certificate is void: the model changed since"
        elif missing := sworn.certificate.combiner.missing(signals):
            why = f"its certificate needs the {' and the '.join(missing)}"
        if why is not None:
            return self._judge_unsworn(signals, _Unsworn(why=why, threshold=sworn.threshold), large=large)
        return _judge_sworn(sworn, signals, large=large)

    def foresee(self, agent: str, signals: Signals) -> Verdict | None:
        """The verdict before the agent is asked; None = ask it, its answer may be good enough.

        It escalates what could not be kept even if the answer were as sure as the surest one calibration saw,
        and only where the larger model is expected to do better, or nobody knows. The caller makes sure that
        the certificate speaks for the agent's model (`speaks_for`) and that the larger model may be asked.

        Args:
            agent: that would be asked.
            signals: of which only those known before the call are read.
        """
        sworn = self._sworn.get(agent)
        before = known_before(signals)
        if sworn is None or sworn.certificate.combiner.missing(before, before=True):
            return None
        combiner = sworn.certificate.combiner
        best, benefit = combiner.best_confidence(before), combiner.expected_benefit(before)
        if best >= sworn.threshold or (benefit is not None and benefit <= 0):
            return None
        what = (
            f"even an answer as sure as the surest seen would come to confidence {best:.2f}, below the "
            f"threshold {sworn.threshold:.2f} ({sworn.promise})"
        )
        verdict = Verdict(action="escalate", reason=_sentence(what, "the larger model is asked at once"))
        return _under(sworn, verdict, confidence=best, benefit=benefit)

    def speaks_for(self, agent: str, digest: str | None) -> bool:
        """Whether the agent has a certificate that counts for these weights."""
        sworn = self._sworn.get(agent)
        return sworn is not None and sworn.certificate.digests.model == digest

    def _admit(self, agent: str, certificate: Certificate, now: Digests | None) -> None:
        if certificate.agent != agent:
            raise ConfigError(
                f"the certificate given for {agent} is {certificate.agent}'s",
                why="a promise made for one agent says nothing about another",
                mend=f"shoal calibrate DATA --agent {agent}",
            )
        if now is not None:
            now = replace(now, model=certificate.digests.model)
        why = certificate.unusable(
            max_error=self._escalation.max_error, level=self._escalation.confidence, now=now
        )
        if why is not None or certificate.threshold is None:
            self._unsworn[agent] = _Unsworn(why=why or "", threshold=certificate.threshold)
            return
        self._sworn[agent] = _Sworn(
            certificate=certificate,
            id=certificate.id,
            threshold=certificate.threshold,
            promise=f"at most {certificate.max_error:.0%} of the answers kept are wrong, "
            f"{certificate.level:.0%} sure",
        )

    def _judge_unsworn(self, signals: Signals, unsworn: "_Unsworn", *, large: bool) -> Verdict:
        threshold = max(self._escalation.threshold, unsworn.threshold or 0.0)
        known = prior_confidence(signals)
        if known is None:
            what = f"nothing measured how sure the answer is, and {unsworn.why} (uncertified)"
            return replace(_decline(what, large=large), threshold=threshold)
        confidence, signal = known
        what = f"confidence {confidence:.2f} (set by the {signal}; uncertified: {unsworn.why})"
        if confidence >= threshold:
            verdict = Verdict(
                action="accept", reason=_sentence(f"{what} reaches the threshold {threshold:.2f}")
            )
        else:
            verdict = _decline(f"{what} is below the threshold {threshold:.2f}", large=large)
        return replace(verdict, confidence=confidence, threshold=threshold)


class LargePolicy:
    """Judges the answers of the large model, which nobody is asked after: hard faults flag them, and how
    sure it is of the others is not known. Certificates speak of the agents' own models.
    """

    def judge(
        self,
        agent: str,  # noqa: ARG002 (the Judge port)
        signals: Signals,
        *,
        failure: ShoalError | None = None,
        digest: str | None = None,  # noqa: ARG002
        repairs_left: int = 0,
        large: bool,  # noqa: ARG002
    ) -> Verdict:
        fault = find_fault(signals, failure)
        if fault is None:
            return Verdict(action="accept", reason="The larger model's answer is kept: it has no fault.")
        if fault.repairable and repairs_left > 0:
            return Verdict(action="repair", reason=_sentence(fault.what, "it is asked for again"))
        what = f"the larger model was asked: {fault.what}"
        return Verdict(action="abstain", reason=_sentence(what, FLAGGED))


def _judge_sworn(sworn: _Sworn, signals: Signals, *, large: bool) -> Verdict:
    combiner = sworn.certificate.combiner
    confidence = combiner.confidence(signals)
    what = f"confidence {confidence:.2f}"
    benefit = combiner.expected_benefit(signals)
    if confidence >= sworn.threshold:
        what += f" reaches the threshold {sworn.threshold:.2f} ({sworn.promise})"
        verdict = Verdict(action="accept", reason=_sentence(what))
    else:
        what += f" is below the threshold {sworn.threshold:.2f} ({sworn.promise})"
        if large and benefit is not None and benefit <= 0:
            what += " and the larger model is not expected to do better"
            verdict = Verdict(action="abstain", reason=_sentence(what, FLAGGED))
        else:
            verdict = _decline(what, large=large)
    return _under(sworn, verdict, confidence=confidence, benefit=benefit)


def _under(sworn: _Sworn, verdict: Verdict, *, confidence: float, benefit: float | None) -> Verdict:
    """The verdict with what it rests on."""
    return replace(
        verdict,
        confidence=confidence,
        calibrated=True,
        threshold=sworn.threshold,
        certificate=sworn.id,
        benefit=benefit,
    )


def _decline(what: str, *, large: bool) -> Verdict:
    if large:
        return Verdict(action="escalate", reason=_sentence(what, "the larger model is asked"))
    return Verdict(action="abstain", reason=_sentence(what, f"{FLAGGED}: there is no larger model to ask"))


def _sentence(what: str, consequence: str = "") -> str:
    text = f"{what}, so {consequence}." if consequence else f"{what}."
    return text[0].upper() + text[1:]
