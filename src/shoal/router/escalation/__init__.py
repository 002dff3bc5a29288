"""Keep an answer local only when it is good enough: signals, confidence, certificates, policy, budgets."""

from shoal.router.escalation.certificate import Certificate
from shoal.router.escalation.policy import Policy
from shoal.router.escalation.settings import Budget, Escalation

__all__ = ["Budget", "Certificate", "Escalation", "Policy"]
