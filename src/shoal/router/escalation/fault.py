"""Hard faults: signs that make an answer unusable whatever its confidence.

No confidence is weighed against them, and no calibration can buy them off.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shoal.core.decision import Signals
from shoal.core.errors import DeadlineExceeded, ModelError, OutputInvalid, OverBudget, ShoalError

__all__ = ["Fault", "find_fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    what: str
    """Half a sentence about the answer, for a person."""
    repairable: bool
    """Asking the same model again, with the fault named, can mend it."""


def find_fault(signals: Signals, failure: ShoalError | None) -> Fault | None:
    """The gravest fault, or None. Causes come before their symptoms: a refusal breaks the schema too."""
    for present, fault in _FAULTS:
        if present(signals):
            return fault
    if signals.checks_failed:
        return Fault(
            what=f"the answer does not pass the check {_listed(signals.checks_failed)}", repairable=True
        )
    return _of_failure(failure) if failure is not None else None


_FAULTS: tuple[tuple[Callable[[Signals], bool], Fault], ...] = (
    (lambda seen: seen.refusal, Fault(what="the model refused to answer", repairable=False)),
    (lambda seen: seen.truncated, Fault(what="the answer breaks off at its length limit", repairable=True)),
    (lambda seen: seen.empty, Fault(what="the answer is empty", repairable=True)),
    (
        lambda seen: seen.schema_valid is False,
        Fault(what="the answer does not have the promised shape", repairable=True),
    ),
)


def _of_failure(failure: ShoalError) -> Fault:
    if isinstance(failure, OutputInvalid):
        return Fault(what="the answer does not have the promised shape", repairable=True)
    if isinstance(failure, OverBudget):
        return Fault(what=failure.what, repairable=False)
    if isinstance(failure, DeadlineExceeded):
        return Fault(what="the model did not answer in time", repairable=False)
    if isinstance(failure, ModelError):
        return Fault(what=f"the model could not answer: {failure.what}", repairable=False)
    return Fault(what=f"the attempt failed: {failure.what}", repairable=False)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
