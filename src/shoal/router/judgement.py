"""Evidence into probabilities: which agent, and whether any at all.

Confidence comes from two: the probability of the best class among the known ones, and the probability that
the text belongs to a known class. Their log-odds are added up, not the probabilities multiplied: most texts
belong somewhere for certain, and in a product the little that this says of them is lost. Both are learnt on
rows that the panel had not seen ("out of fold"). Texts that belong nowhere are seldom among the examples, so
they are made up: each row once more as if its own class did not exist.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shoal.router.linear import softmax
from shoal.router.panel import Evidence

__all__ = [
    "Judgement",
    "Verdicts",
    "fit_judgement",
    "likeness_judgement",
    "out_of_scope_share",
    "uncalibrated_judgement",
]

Values = NDArray[np.float64]

OUT_OF_SCOPE_SHARE = 0.05
"""Share of requests assumed to belong to no agent, where no validation rows say otherwise. Out-of-scope rows
among the examples do not: they are there to be learnt from, and come in any number."""
SHARE_ROWS = 200
"""Validation rows that weigh as much as the assumption."""
IN_SCOPE_REJECTED = 0.03
"""Share of in-scope rows that the threshold turns away out of fold. Real requests are a little less like the
examples than these are like one another: 3 % here become 2 to 5 % there."""
SHARPNESS_ROWS = 4_000
"""Rows that two numbers are fitted on at most."""
LIKENESS_SCALE = 10.0
"""Brings cosines to the size of logits."""
CHUNK = 2_048
TINY = 1e-9
"""Keeps log-odds finite."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """For n texts."""

    classes: NDArray[np.float64]
    """(n, classes): probability of each class, times that of being in scope."""
    best: NDArray[np.intp]
    """(n,): the best agent's class."""
    confidence: Values
    """(n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    sharpness: tuple[float, float]
    """Factors on logits and on scaled likeness, ahead of the softmax."""
    centre: tuple[float, float, float]
    """Mean of each signal (logit, likeness, typicality of the best class) over in-scope rows."""
    weight: tuple[float, float, float]
    """Of each centred signal in the log-odds of being in scope."""
    offset: float
    surety: tuple[float, float] | None
    """Slope and offset from the summed log-odds to those of being right. None = the product is taken."""
    threshold: float
    calibrated: bool
    unheard: tuple[int, ...] = ()
    """Agents with no row to judge by: what was learnt from the others says nothing of them."""

    def weigh(self, evidence: Evidence, agents: int) -> Verdicts:
        """Judge; the first `agents` classes are agents, one more may stand for "out of scope"."""
        if self.unheard:
            heard = np.ones(evidence.logits.shape[1], np.bool_)
            heard[list(self.unheard)] = False
            evidence = evidence.only(heard)
        p = softmax(_mixed(evidence, self.sharpness)).astype(np.float64)
        at, best = np.arange(len(p)), p[:, :agents].argmax(axis=1)
        within = (_signals(evidence, best) - np.array(self.centre)) @ np.array(self.weight) + self.offset
        first = np.clip(p[at, best], TINY, 1 - TINY)
        if self.surety is None:
            confidence = first * _logistic(within)
        else:
            odds = within + np.log(first / (1 - first))
            confidence = _logistic(self.surety[0] * odds + self.surety[1])
        return Verdicts(_share_out(p, best, confidence), best, confidence)

    def hear(self, found: Verdicts, likeness: NDArray[np.floating], agents: int) -> Verdicts:
        """What this judgement turned away goes to the unheard that it is like.

        Args:
            found: By this judgement.
            likeness: (n, classes): as far as it can be told of every agent alike.
            agents: As in `weigh`.
        """
        judgement, nothing = likeness_judgement(), np.zeros_like(likeness)
        other = judgement.weigh(Evidence(nothing, likeness, nothing), agents)
        taken = (found.confidence < self.threshold) & (other.confidence >= judgement.threshold)
        taken &= np.isin(other.best, self.unheard)
        best = np.where(taken, other.best, found.best)
        # The one threshold becomes the other, and 1 stays 1.
        above = (other.confidence - judgement.threshold) / (1 - judgement.threshold)
        confidence = np.where(taken, self.threshold + (1 - self.threshold) * above, found.confidence)
        classes = np.where(taken[:, None], other.classes, found.classes)
        return Verdicts(_share_out(classes, best, confidence), best, confidence)


def uncalibrated_judgement() -> Judgement:
    """For too few examples to learn from: constants chosen on teams of 2 to 12 agents out of public sets.

    Their agents had a job sentence and 0 to 5 examples. From job sentences alone 20 % of in-scope messages
    are turned away, and 70 % of those out of scope; with 2 examples an agent 5 % and 57 %
    (benchmarks/router_few.py).
    """
    return Judgement(
        sharpness=(2.5, 1.0),
        centre=(0.0, 0.34, 0.0),
        weight=(0.0, 16.0, 0.0),
        offset=0.0,
        surety=None,
        threshold=0.4,
        calibrated=False,
    )


def likeness_judgement() -> Judgement:
    """For agents some of which have examples and others only a job: a head gives the former everything."""
    return replace(uncalibrated_judgement(), sharpness=(0.0, 2.5))


def fit_judgement(
    evidence: Evidence, labels: NDArray[np.intp], agents: int, share: float = OUT_OF_SCOPE_SHARE
) -> Judgement:
    """Learn from out-of-fold evidence.

    Args:
        evidence: Of rows that the panel which gave it had not seen.
        labels: The rows' classes, two agents' or more; `agents` stands for "out of scope".
        agents: How many classes are agents.
        share: Of requests that belong to no agent, in (0, 1).
    """
    heard = np.ones(evidence.logits.shape[1], np.bool_)
    heard[:agents] = np.bincount(labels, minlength=agents)[:agents] > 0
    if not heard.all():
        evidence = evidence.only(heard)
    # Out-of-scope rows are a class only where there were some to learn from.
    classes = labels < evidence.logits.shape[1]
    sharpness = _fit_sharpness(evidence.rows(classes), labels[classes])
    draft = replace(uncalibrated_judgement(), sharpness=sharpness)
    known = labels < agents
    in_scope = evidence.rows(known)
    inside = _best_signals(draft, in_scope, agents)
    made_up = _best_signals(draft, in_scope, agents, without=labels[known])
    beyond = _best_signals(draft, evidence.rows(~known), agents)

    centre, spread = inside.mean(axis=0), inside.std(axis=0) + 1e-9
    outside = [part for part in (made_up, beyond) if len(part)]
    sums = [((signals - centre) / spread).sum(axis=1) for signals in (inside, *outside)]
    slope, offset = _fit_odds(sums[0], np.ones(len(inside)), sums[1:], share)
    judgement = replace(
        draft,
        centre=_three(centre),
        weight=_three(slope / spread),
        offset=offset,
        surety=(1.0, 0.0),
        calibrated=True,
    )
    odds, right = _summed_odds(judgement, in_scope, labels[known], agents)
    nobodys = [_summed_odds(judgement, in_scope, labels[known], agents, made_up=True)[0]]
    if not known.all():
        nobodys.append(_summed_odds(judgement, evidence.rows(~known), labels[~known], agents)[0])
    judgement = replace(judgement, surety=_fit_odds(odds, right, nobodys, share))
    unheard = tuple(int(which) for which in np.flatnonzero(~heard))
    return replace(with_threshold(judgement, in_scope, agents), unheard=unheard)


def out_of_scope_share(validation: NDArray[np.intp], agents: int) -> float:
    """As the validation rows have it; none of a kind among them is taken for a gap, not for a promise."""
    beyond = int((validation >= agents).sum())
    if beyond in (0, len(validation)):
        return OUT_OF_SCOPE_SHARE
    return (beyond + OUT_OF_SCOPE_SHARE * SHARE_ROWS) / (len(validation) + SHARE_ROWS)


def with_threshold(judgement: Judgement, inside: Evidence, agents: int) -> Judgement:
    """With the threshold under which `IN_SCOPE_REJECTED` of the given in-scope rows fall."""
    confidence = judgement.weigh(inside, agents).confidence
    return replace(judgement, threshold=float(np.quantile(confidence, IN_SCOPE_REJECTED)))


def _share_out(p: Values, best: NDArray[np.intp], confidence: Values) -> Values:
    """(n, classes): the best get the confidence, the others keep their ratios.

    To the best too, as far as the whole then is no more than 1.
    """
    at = np.arange(len(p))
    first = np.clip(p[at, best], TINY, 1 - TINY)
    classes = p * np.minimum(confidence / first, (1 - confidence) / (1 - first))[:, None]
    classes[at, best] = confidence
    return classes


def _mixed(evidence: Evidence, sharpness: tuple[float, float]) -> NDArray[np.floating]:
    logits, likeness = evidence.logits.astype(np.float32), evidence.likeness.astype(np.float32)
    return sharpness[0] * logits + sharpness[1] * LIKENESS_SCALE * likeness


def _signals(evidence: Evidence, best: NDArray[np.intp]) -> Values:
    at = np.arange(len(best))
    parts = (evidence.logits, evidence.likeness, evidence.typicality)
    return np.stack([part[at, best] for part in parts], axis=1).astype(np.float64)


def _best_signals(
    judgement: Judgement, evidence: Evidence, agents: int, without: NDArray[np.intp] | None = None
) -> Values:
    """(n, 3): signals of the best agent, as if each row's class in `without` did not exist."""
    found = [np.empty((0, 3))]
    for at in range(0, len(evidence), CHUNK):
        piece = evidence.rows(slice(at, at + CHUNK))
        if without is not None:
            piece = piece.without(without[at : at + CHUNK])
        found.append(_signals(piece, judgement.weigh(piece, agents).best))
    return np.concatenate(found)


def _three(values: Values) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third


def _fit_sharpness(evidence: Evidence, labels: NDArray[np.intp]) -> tuple[float, float]:
    """The two factors that make the true classes likeliest: temperature and stacking in one.

    Newton's method on their logarithms would need care near zero; a shrinking grid needs none, and two
    numbers are soon found.
    """
    middle, reach = np.array([0.0, 0.0]), 2.0
    every = max(1, len(labels) // SHARPNESS_ROWS)
    evidence, labels = evidence.rows(slice(None, None, every)), labels[::every]
    at = np.arange(len(labels))
    steps = (-1.0, -0.5, 0.0, 0.5, 1.0)

    def cost(logs: Values) -> float:
        mixed = _mixed(evidence, (float(np.exp(logs[0])), float(np.exp(logs[1]))))
        true = mixed[at, labels]
        peak = mixed.max(axis=1)
        spread = np.log(np.exp(mixed - peak[:, None]).sum(axis=1)) + peak
        return float((spread - true).mean()) + 1e-4 * float(logs @ logs)

    while reach > 0.05:
        tried = [middle + reach * np.array([a, b]) for a in steps for b in steps]
        middle = min(tried, key=cost)
        reach *= 0.6
    return float(np.exp(middle[0])), float(np.exp(middle[1]))


def _summed_odds(
    judgement: Judgement,
    evidence: Evidence,
    labels: NDArray[np.intp],
    agents: int,
    *,
    made_up: bool = False,
) -> tuple[Values, Values]:
    """Log-odds of a judgement whose surety changes nothing, and whether its best agent is the right one.

    Made-up rows are as if their own class did not exist.
    """
    odds, right = [np.empty(0)], [np.empty(0)]
    for at in range(0, len(evidence), CHUNK):
        piece, own = evidence.rows(slice(at, at + CHUNK)), labels[at : at + CHUNK]
        verdicts = judgement.weigh(piece.without(own) if made_up else piece, agents)
        sure = np.clip(verdicts.confidence, TINY, 1 - TINY)
        odds.append(np.log(sure / (1 - sure)))
        right.append((verdicts.best == own).astype(np.float64))
    return np.concatenate(odds), np.concatenate(right)


def _fit_odds(inside: Values, right: Values, outside: list[Values], share: float) -> tuple[float, float]:
    """Slope and offset of the log-odds of being right, by Newton's method.

    Real out-of-scope rows and made-up ones have halves of the share, where there are both.
    """
    x = np.concatenate([inside, *outside])
    truth = np.concatenate([right, *(np.zeros(len(part)) for part in outside)])
    shares = [np.full(len(part), share / len(outside) / len(part)) for part in outside]
    weight = np.concatenate([np.full(len(inside), (1 - share) / len(inside)), *shares])
    design = np.stack([x, np.ones_like(x)], axis=1)
    found = np.zeros(2)
    for _ in range(50):
        p = _logistic(design @ found)
        slope = design.T @ (weight * (p - truth)) + 1e-6 * found
        bend = (design.T * (weight * p * (1 - p))) @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        found = found - step * min(1.0, 2.0 / max(1e-9, float(np.abs(step).max())))
        if float(np.abs(step).max()) < 1e-8:
            break
    return max(0.0, float(found[0])), float(found[1])


def _logistic(x: Values) -> Values:
    return 0.5 * (1 + np.tanh(x / 2))
