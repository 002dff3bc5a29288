"""From rows as they come to rows worth learning from. Every row that is left out is named with its reason."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, median
from typing import Any, Literal, cast

from shoal.agents.row import Row, canonical, fit_expected
from shoal.agents.spec import AgentSpec
from shoal.core.errors import InputError
from shoal.curation.duplicates import near_pairs, normalise
from shoal.curation.template import template_of

__all__ = ["Curated", "CurationReport", "Reason", "Removed", "curate"]

FEWEST = 20
"""Rows that have to be left: fewer are not enough to learn from, and to see whether it was learnt."""
ALIKE = 0.9
"""Share of the shingles from which on two texts with one answer are the same row twice."""
TIMES_MEDIAN, LONG = 20, 2_000
"""A text or answer is an outlier when it is longer than so many medians, and than so many characters."""
CHARS_A_TOKEN = 16
"""No answer has more of them on average."""
AGREEMENT = 0.5
"""Share of a teacher's samples that must give the answer that is to be learnt."""
MOST_CLASSES = 50
"""A field with more different values is no class."""

Reason = Literal[
    "empty input",
    "does not fit",
    "empty answer",
    "too long",
    "contradiction",
    "duplicate",
    "near duplicate",
    "in test",
    "teacher disagrees",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    number: int
    reason: Reason
    detail: str
    """For a person: which field, which other row, how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationReport:
    given: int
    kept: int
    removed: tuple[Removed, ...]
    classes: Mapping[str, Mapping[str, int]]
    """Rows by value of every outermost field with few values; "" is the answer itself."""
    shared_templates: int
    """Rows kept whose template is that of a test row; see `template.py`."""
    agreement: float | None
    """Mean over the rows kept that came with samples, in [0, 1]; None = none did."""
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        """Rows left out, by reason, most frequent first."""
        return dict(Counter(removed.reason for removed in self.removed).most_common())

    def lines(self) -> list[str]:
        """For a person."""
        left_out = ", ".join(f"{times} {reason}" for reason, times in self.reasons.items())
        lines = [f"{self.kept} of {self.given} rows kept" + (f"; left out: {left_out}" if left_out else "")]
        return lines + list(self.notes)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"reasons": self.reasons}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    rows: tuple[Row, ...]
    """In the order given, `expected` as the agent would say it."""
    report: CurationReport


@dataclass(slots=True)
class _Work:
    rows: list[Row]
    removed: list[Removed] = field(default_factory=list[Removed])

    def remove(self, found: Iterable[Removed]) -> None:
        """Take these rows out; of two reasons the first counts."""
        reasons = {one.number: one for one in reversed(list(found))}
        self.removed += reasons.values()
        self.rows = [row for row in self.rows if row.number not in reasons]


def curate(rows: Sequence[Row], agent: AgentSpec[Any], *, test: Sequence[Row] = ()) -> Curated:
    """Check rows against the agent's output type, one another, and the rows of a test.

    Args:
        rows: to learn from.
        agent: who is to learn.
        test: rows that must stay unseen. A row with the text of one of them is left out; rows that merely
            share a template with one are counted.

    Raises:
        InputError: fewer than twenty rows are left, or all of them want the same answer.
    """
    numbers = Counter(row.number for row in rows)
    if len(numbers) < len(rows):
        rows = [replace(row, number=number) for number, row in enumerate(rows, start=1)]
    work = _Work(rows=list(rows))
    work.rows, misfits = _fit(rows, agent)
    work.removed += misfits
    work.remove(_overlong(work.rows, agent))
    work.remove(_contradictions(work.rows))
    work.remove(_duplicates(work.rows))
    work.remove(_near_duplicates(work.rows))
    work.remove(_in_test(work.rows, test))
    work.remove(_disputed(work.rows, agent))
    report = _report(len(rows), work, agent, test)
    _check_enough(work.rows, report)
    return Curated(rows=tuple(work.rows), report=report)


def _fit(rows: Sequence[Row], agent: AgentSpec[Any]) -> tuple[list[Row], list[Removed]]:
    fitting: list[Row] = []
    removed: list[Removed] = []
    for row in rows:
        expected = row.expected
        if agent.output is str and isinstance(expected, list) and expected:
            expected = cast("list[Any]", expected)[0]  # several will do: the first is learnt
        if not row.input.strip():
            removed.append(Removed(number=row.number, reason="empty input", detail="there is no text"))
        elif isinstance(expected, str) and not expected.strip():
            removed.append(Removed(number=row.number, reason="empty answer", detail="a blank text"))
        else:
            try:
                fitting.append(replace(row, expected=fit_expected(agent, expected, asked=row.input)))
            except ValueError as error:
                detail = " ".join(str(error).split())[:300]
                removed.append(Removed(number=row.number, reason="does not fit", detail=detail))
    return fitting, removed


def _overlong(rows: Sequence[Row], agent: AgentSpec[Any]) -> Iterable[Removed]:
    if not rows:
        return
    inputs, answers = [len(row.input) for row in rows], [len(canonical(row.expected)) for row in rows]
    longest = agent.max_tokens * CHARS_A_TOKEN
    bounds = [max(LONG, TIMES_MEDIAN * median(lengths)) for lengths in (inputs, answers)]
    for row, told, said in zip(rows, inputs, answers, strict=True):
        if said > longest:
            detail = f"an answer of {said:,} characters; max_tokens={agent.max_tokens} ends before"
            yield Removed(number=row.number, reason="too long", detail=detail)
        elif told > bounds[0] or said > bounds[1]:
            detail = f"text {told:,}, answer {said:,} characters; the medians are {median(inputs):,.0f} and"
            yield Removed(number=row.number, reason="too long", detail=f"{detail} {median(answers):,.0f}")


def _contradictions(rows: Sequence[Row]) -> Iterable[Removed]:
    for same in _by_text(rows).values():
        if len({_answer(row) for row in same}) > 1:
            for row in same:
                others = ", ".join(str(other.number) for other in same if other is not row)
                detail = f"the same text as row {others}, with another answer"
                yield Removed(number=row.number, reason="contradiction", detail=detail)


def _duplicates(rows: Sequence[Row]) -> Iterable[Removed]:
    for first, *others in _by_text(rows).values():
        for row in others:
            yield Removed(number=row.number, reason="duplicate", detail=f"of row {first.number}")


def _near_duplicates(rows: Sequence[Row]) -> Iterable[Removed]:
    """Alike, and with one answer. Alike with different answers is what is to be told apart."""
    gone: set[int] = set()
    for one, other in near_pairs([row.input for row in rows], at_least=ALIKE):
        if one not in gone and other not in gone and _answer(rows[one]) == _answer(rows[other]):
            gone.add(other)
            detail = f"of row {rows[one].number}, which has the same answer"
            yield Removed(number=rows[other].number, reason="near duplicate", detail=detail)


def _in_test(rows: Sequence[Row], test: Sequence[Row]) -> Iterable[Removed]:
    tested = {normalise(row.input): row.number for row in test}
    for row in rows:
        number = tested.get(normalise(row.input))
        if number is not None:
            yield Removed(number=row.number, reason="in test", detail=f"the text of test row {number}")


def _disputed(rows: Sequence[Row], agent: AgentSpec[Any]) -> Iterable[Removed]:
    for row in rows:
        share = _agreement(row, agent)
        if share is not None and share < AGREEMENT:
            detail = f"{share:.0%} of {len(row.samples)} samples give this answer"
            yield Removed(number=row.number, reason="teacher disagrees", detail=detail)


def _agreement(row: Row, agent: AgentSpec[Any]) -> float | None:
    if not row.samples:
        return None
    wanted, same = _answer(row), 0
    for sample in row.samples:
        try:
            same += normalise(canonical(fit_expected(agent, sample))) == wanted
        except ValueError:
            continue  # no answer at all, so not this one
    return same / len(row.samples)


def _report(given: int, work: _Work, agent: AgentSpec[Any], test: Sequence[Row]) -> CurationReport:
    tested = {template_of(row.input, row.expected) for row in test}
    shared = sum(template_of(row.input, row.expected) in tested for row in work.rows) if tested else 0
    agreements = [share for row in work.rows if (share := _agreement(row, agent)) is not None]
    classes = _classes(work.rows)
    notes = [
        f'every row has the same "{name}": nothing is learnt about others'
        for name, counts in classes.items()
        if name and len(counts) == 1
    ]
    rare = [f'{name or "answer"} "{value}"' for name, counts in classes.items() for value in _rare(counts)]
    if rare:
        notes.append(f"fewer than 5 rows: {', '.join(rare[:10])}{', ...' if len(rare) > 10 else ''}")
    if shared:
        notes.append(f"{shared} rows share a template with a test row")
    return CurationReport(
        given=given,
        kept=len(work.rows),
        removed=tuple(sorted(work.removed, key=lambda one: one.number)),
        classes=classes,
        shared_templates=shared,
        agreement=fmean(agreements) if agreements else None,
        notes=tuple(notes),
    )


def _classes(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if isinstance(row.expected, Mapping):
            for name, value in cast("Mapping[str, Any]", row.expected).items():
                if isinstance(value, str | bool):
                    values[name][str(value)] += 1
        elif isinstance(row.expected, str | bool):
            values[""][str(row.expected)] += 1
    return {
        name: dict(counts.most_common())
        for name, counts in values.items()
        if len(counts) <= MOST_CLASSES and len(counts) * 2 <= counts.total()
    }


def _rare(counts: Mapping[str, int]) -> list[str]:
    return [value for value, times in counts.items() if times < 5]


def _check_enough(rows: Sequence[Row], report: CurationReport) -> None:
    if len(rows) < FEWEST:
        raise InputError(
            f"{len(rows)} rows are too few to learn from",
            why="; ".join(report.lines()),
            mend=f"give at least {FEWEST} different rows; some hundreds make a useful specialist",
        )
    if len({_answer(row) for row in rows}) == 1:
        raise InputError(
            "every row wants the same answer",
            why=f"{rows[0].expected!r}, {len(rows)} times",
            mend="give rows of at least two kinds",
        )


def _by_text(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[normalise(row.input)].append(row)
    return found


def _answer(row: Row) -> str:
    """The same for answers that differ in case only, as texts that differ so are one text."""
    return normalise(canonical(row.expected))
