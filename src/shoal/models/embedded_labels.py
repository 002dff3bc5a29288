"""How likely a model is to give each of a few labels as its answer.

The probability of a label is the chance that decoding constrained to the labels would produce it at
temperature 1: the chain rule over the tree of the labels' tokens, renormalised at each branching.

One pass of one token is enough when the labels differ in their first token (so give options
single-token codes: "A", "B", ...). Each further place where labels part costs one more pass of one or
two tokens; the prompt itself is in the cache by then. Summing the log probabilities of whole labels
instead would need a pass for every token of every label, and a label's length would count against it.

At a branching the allowed tokens get a logit bias so large that the others vanish, and the engine's
probabilities after the bias are read: exact for any number of labels, however unlikely all of them are,
where the usual list of the 20 most likely tokens would miss some.

Pure but for `ask`, which the caller gives.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["AskNext", "walk_labels"]


class AskNext(Protocol):
    """The model."""

    async def __call__(
        self, prefix: tuple[int, ...], candidates: Sequence[int], *, among_all: bool
    ) -> Mapping[int, float]:
        """How likely the candidates are to follow the prompt and `prefix`.

        Renormalised over the candidates, or, `among_all`, over the vocabulary; then tokens that are
        too unlikely may be missing.
        """
        ...


async def walk_labels(tokens: Mapping[str, tuple[int, ...]], ask: AskNext) -> dict[str, float]:
    """Probability per label; they sum to 1.

    Args:
        tokens: the tokens of each label, at least one each, no two labels alike.
        ask: the model.
    """
    shares = await _walk((), 1.0, tokens, ask)
    total = sum(shares.values())
    return {label: shares[label] / total for label in tokens}


async def _walk(
    prefix: tuple[int, ...], share: float, tokens: Mapping[str, tuple[int, ...]], ask: AskNext
) -> dict[str, float]:
    """Divide `share` among labels that all begin with `prefix`."""
    if len(tokens) == 1:
        return dict.fromkeys(tokens, share)
    depth = len(prefix)
    branches: dict[int, dict[str, tuple[int, ...]]] = {}
    ended: list[str] = []
    for label, ids in tokens.items():
        if len(ids) == depth:
            ended.append(label)
        else:
            branches.setdefault(ids[depth], {})[label] = ids
    if len(branches) == 1 and not ended:
        chances: Mapping[int, float] = dict.fromkeys(branches, 1.0)
    else:
        # Where a label may end, whatever does not lead to a longer label ends it ("1." is "1", not "10").
        chances = await ask(prefix, list(branches), among_all=bool(ended))
    shares: dict[str, float] = {}
    for token, labels in branches.items():
        shares |= await _walk((*prefix, token), share * chances.get(token, 0.0), labels, ask)
    rest = max(0.0, 1.0 - sum(chances.get(token, 0.0) for token in branches))
    return shares | dict.fromkeys(ended, share * rest)
