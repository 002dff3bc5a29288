"""What `Router.fit` found in its examples: plain facts for a person, nothing is mended silently."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.core.errors import ConfigError
from shoal.router.example import Example, text_key

__all__ = ["Contradiction", "FitReport", "check_labels", "inspect_examples"]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """One text with several labels. All of them stay in: which is right is for a person to say."""

    text: str
    agents: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    examples: int
    """Rows used, after what the other fields say was left out."""
    per_agent: Mapping[str, int] = field(default_factory=dict[str, int])
    out_of_scope: int = 0
    duplicates: tuple[str, ...] = ()
    """Texts given more than once with the same label (case and spacing aside); used once."""
    contradictions: tuple[Contradiction, ...] = ()
    without_examples: tuple[str, ...] = ()
    """Agents known by their job sentence only."""
    blank: int = 0
    """Rows without any text; left out."""
    validation_seen: tuple[str, ...] = ()
    """Validation texts that are examples too (case and spacing aside); left out of the validation."""

    def lines(self) -> tuple[str, ...]:
        """One sentence a finding; empty when there is nothing to say."""
        found: list[str] = []
        if self.blank:
            found.append(f"{self.blank} rows have no text and were left out")
        if self.without_examples:
            found.append(f"agents without examples (job sentence only): {', '.join(self.without_examples)}")
        if self.duplicates:
            found.append(f"{len(self.duplicates)} texts are there more than once: {_some(self.duplicates)}")
        if self.validation_seen:
            found.append(
                f"{len(self.validation_seen)} validation texts are among the examples and were left out: "
                f"{_some(self.validation_seen)}"
            )
        for item in self.contradictions:
            names = " and ".join(agent or "out of scope" for agent in item.agents)
            found.append(f'"{item.text[:80]}" is labelled {names}')
        return tuple(found)


def inspect_examples(
    examples: Sequence[Example], jobs: Mapping[str, str] | None
) -> tuple[tuple[Example, ...], FitReport]:
    """The examples worth fitting on, sorted so that their order cannot matter, and what was found.

    Raises:
        ConfigError: there are jobs, and a label that none of them belongs to.
    """
    usable = [example for example in examples if example.text.strip()]
    if jobs:
        check_labels(usable, tuple(jobs))
    copies = Counter((text_key(example.text), example.agent) for example in usable)
    unique = {(text_key(example.text), example.agent): example for example in sorted(usable, key=_order)}
    agents_of: dict[str, list[Example]] = defaultdict(list)
    for (key, _), example in unique.items():
        agents_of[key].append(example)

    kept = tuple(sorted(unique.values(), key=_order))
    counts = Counter(example.agent for example in kept if example.agent is not None)
    report = FitReport(
        examples=len(kept),
        per_agent=dict(sorted(counts.items())),
        out_of_scope=sum(example.agent is None for example in kept),
        duplicates=tuple(sorted(unique[key].text for key, count in copies.items() if count > 1)),
        contradictions=tuple(
            Contradiction(group[0].text, tuple(example.agent for example in group))
            for _, group in sorted(agents_of.items())
            if len(group) > 1
        ),
        without_examples=tuple(sorted(set(jobs or {}) - set(counts))),
        blank=len(examples) - len(usable),
    )
    return kept, report


def check_labels(examples: Sequence[Example], agents: Sequence[str]) -> None:
    """See that every label is an agent's name.

    Raises:
        ConfigError: some are not.
    """
    foreign = Counter(example.agent for example in examples if example.agent is not None)
    for agent in agents:
        foreign.pop(agent, None)
    if foreign:
        named = ", ".join(f"{label} ({count} rows)" for label, count in sorted(foreign.items())[:10])
        raise ConfigError(
            "some examples have labels that are no agents",
            why=f"{named}; the agents are {', '.join(sorted(agents)[:20])}",
            mend="write the agent's name, or null for what no agent should get",
        )


def _order(example: Example) -> tuple[str, str, bool]:
    return example.text, example.agent or "", example.agent is None


def _some(texts: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return "; ".join(f'"{text[:60]}"' for text in texts[:limit]) + more
