"""Keep an answer local only when it is good enough: signals, confidence, certificates, policy, budgets."""

from shoal.router.escalation.calibrate import LabelledAttempt, calibrate, read_difficulty
from shoal.router.escalation.certificate import Certificate, Digests, load_certificate, save_certificate
from shoal.router.escalation.difficulty import Difficulties
from shoal.router.escalation.policy import LargePolicy, Policy
from shoal.router.escalation.settings import Budget, Escalation

__all__ = [
    "Budget",
    "Certificate",
    "Difficulties",
    "Digests",
    "Escalation",
    "LabelledAttempt",
    "LargePolicy",
    "Policy",
    "calibrate",
    "load_certificate",
    "read_difficulty",
    "save_certificate",
]
