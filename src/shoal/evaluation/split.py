"""How well requests are split: the set of agents found in a request against the set of its labels.

Where the cuts fall is not judged: the work that reaches the agents is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shoal.core.errors import InputError
from shoal.core.port import RoutePort
from shoal.router.example import Example, read_lines

__all__ = ["Request", "SplitScore", "evaluate_split", "labels_of", "load_requests", "single_intents"]

JOINT = "#"
"""Joins the labels of a text that has several, as in "flight#airfare"."""


@dataclass(frozen=True, slots=True)
class Request:
    text: str
    labels: frozenset[str]
    """Everything that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScore:
    """Shares in [0, 1]; None = there was nothing to count."""

    exact_match: float | None
    """Requests where the best agents of the parts are exactly the labels, abstentions ignored."""
    exact_match_with_abstention: float | None
    """The same where a part that no agent fits goes to nobody."""
    micro_f1: float | None
    """F1 over all (request, label) pairs, abstentions ignored."""


class _Row(BaseModel):
    model_config = ConfigDict(strict=True)

    text: str
    labels: list[str] | str


def load_requests(path: Path) -> tuple[Request, ...]:
    """Requests of a JSONL or JSONL.gz file of {"text": ..., "labels": [...]}, in its order.

    Several labels may also stand in one string, joined by "#".

    Raises:
        ConfigError: the file cannot be read.
        InputError: a line of it is no such row.
    """
    return tuple(_parse_request(line, f"{path}:{number}") for number, line in read_lines(path))


def labels_of(joined: str) -> frozenset[str]:
    """Two of "flight#airfare"."""
    return frozenset(joined.split(JOINT))


def single_intents(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The examples that ask for one thing: what a router that splits is fitted on."""
    return tuple(example for example in examples if JOINT not in (example.agent or ""))


def evaluate_split(router: RoutePort, requests: Iterable[Request]) -> SplitScore:
    """Split every request and decide its parts."""
    exact = accepted = hits = given = there = count = 0
    for request in requests:
        decisions = [router.decide(part.text) for part in router.split(request.text)]
        found = frozenset(decision.best for decision in decisions if decision.best is not None)
        count += 1
        exact += found == request.labels
        agents = frozenset(decision.agent for decision in decisions if decision.agent is not None)
        accepted += agents == request.labels
        hits += len(found & request.labels)
        given += len(found)
        there += len(request.labels)
    return SplitScore(
        exact_match=exact / count if count else None,
        exact_match_with_abstention=accepted / count if count else None,
        micro_f1=2 * hits / (given + there) if given + there else None,
    )


def _parse_request(line: str, place: str) -> Request:
    try:
        row = _Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(
            f"{place} is no request with its labels",
            why=f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".removeprefix(": "),
            mend='write it as {"text": "block my card and play jazz", "labels": ["cards", "music"]}',
        ) from error
    joined = [row.labels] if isinstance(row.labels, str) else row.labels
    return Request(row.text, frozenset(label for labels in joined for label in labels_of(labels)))
