"""Side effects of tools, and what to do when one is met again.

A resumed graph runs its node again, so a tool may be reached twice. Before it acts, the intent is committed
under a key that a second run of the node computes again; afterwards the result is committed. What a second
meeting finds decides what happens. Two *live* workers must not run the same node: the lease of the thread
sees to that, not this module.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from shoal.core.errors import RunError

__all__ = ["Claim", "ClaimAction", "Effect", "EffectKind", "EffectRow", "met_again"]

EffectKind = Literal["read", "idempotent", "verifiable", "at_most_once"]
"""read: changes nothing. idempotent: may be repeated with the same key. verifiable: a reconciler can tell
whether it happened. at_most_once: nobody can tell, so a person decides."""

ClaimAction = Literal["do", "use_result", "verify", "park"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One call of a tool at one place of one run."""

    run_id: str
    node: str
    ordinal: int
    """0 for the first effect of the node in this run, then 1, 2, ... in an order that a rerun repeats."""
    tool: str
    kind: EffectKind

    @property
    def key(self) -> str:
        """The idempotency key: the same for every rerun of the node, never one of a checkpoint."""
        place = "\x1f".join((self.run_id, self.node, str(self.ordinal)))
        return hashlib.sha256(place.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the caller must do now."""

    key: str
    action: ClaimAction
    """do: act, then call `finish_effect`. use_result: it is done, take `result`. verify: it may have
    happened, ask the reconciler. park: it may have happened and nobody can tell, ask a person."""
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    key: str
    run_id: str
    node: str
    ordinal: int
    tool: str
    kind: EffectKind
    claimed_at: float
    done_at: float | None = None
    """None = intended, and perhaps done."""
    result: str | None = None


def met_again(row: EffectRow, effect: Effect) -> Claim:
    """What a claim of an effect that already has a row leads to.

    Raises:
        RunError: the row is of another tool or kind; the graph has changed since.
    """
    if (row.tool, row.kind) != (effect.tool, effect.kind):
        raise RunError(
            f"effect {effect.ordinal} of node {effect.node} is {effect.tool} ({effect.kind}),"
            f" but was {row.tool} ({row.kind}) when this run began",
            why="the graph or its tools have changed since",
            mend="start a new run, or go back to the version that began this one",
        )
    if row.done_at is not None:
        return Claim(key=row.key, action="use_result", result=row.result)
    actions: dict[EffectKind, ClaimAction] = {
        "read": "do",
        "idempotent": "do",
        "verifiable": "verify",
        "at_most_once": "park",
    }
    return Claim(key=row.key, action=actions[row.kind])
