"""How much of the evidence a retriever finds: recall, precision and IoU over characters.

Counted in characters of the gold spans, not in chunks, so that retrievers that cut documents differently
can be compared (Smith & Troynikov 2024, "Evaluating Chunking Strategies for Retrieval"). Not a measure of
the answers a model writes from the passages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shoal.core.errors import InputError
from shoal.core.passage import Passage
from shoal.core.port import Retriever

__all__ = [
    "Interval",
    "Question",
    "Span",
    "SpanScore",
    "bootstrap",
    "evaluate_retriever",
    "load_questions",
    "score_spans",
]

RESAMPLES = 2_000


class Span(BaseModel):
    """A stretch of a document: `text[start:end]`."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    source: str = ""
    """The document, as it was indexed; may stay empty where there is only one."""


class Question(BaseModel):
    """A question and all the evidence for its answer."""

    model_config = ConfigDict(frozen=True)

    question: str
    spans: tuple[Span, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanScore:
    """For one question, each in [0, 1]."""

    recall: float
    """Share of the evidence's characters that were retrieved."""
    precision: float
    """Share of the retrieved characters that are evidence, text that overlaps counted once."""
    iou: float
    """Evidence retrieved, over evidence and retrieved text together, overlaps counted every time: what is
    retrieved twice costs a prompt twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    mean: float
    low: float
    high: float
    """95 % percentile bootstrap over questions."""


def load_questions(lines: Iterable[str], name: str) -> tuple[Question, ...]:
    """Parse one JSON object a line: {"question": "...", "spans": [{"start": 0, "end": 9, "source": "..."}]}.

    Raises:
        InputError: a line is not that; `name` and the line's number are named.
    """
    adapter = TypeAdapter(Question)
    questions: list[Question] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                questions.append(adapter.validate_json(line))
            except ValidationError as error:
                raise InputError(f"line {number} of {name} is no question", why=str(error)) from error
    return tuple(questions)


async def evaluate_retriever(
    retriever: Retriever, questions: Sequence[Question], *, limit: int = 5
) -> tuple[SpanScore, ...]:
    """Ask every question, in order, and score what comes back.

    Raises:
        StorageError: from the retriever.
    """
    found = [await retriever.search(question.question, limit=limit) for question in questions]
    return tuple(
        score_spans(question.spans, [_span(passage, question) for passage in passages])
        for question, passages in zip(questions, found, strict=True)
    )


def score_spans(evidence: Sequence[Span], retrieved: Sequence[Span]) -> SpanScore:
    """Score what was retrieved for one question."""
    gold, found = _merge(evidence), _merge(retrieved)
    both = sum(
        max(0, min(a.end, b.end) - max(a.start, b.start)) for a in gold for b in found if a.source == b.source
    )
    evidence_size, retrieved_size = _size(gold), _size(found)
    union = evidence_size + _size(retrieved) - both
    return SpanScore(
        recall=both / evidence_size if evidence_size else 0.0,
        precision=both / retrieved_size if retrieved_size else 0.0,
        iou=both / union if union else 0.0,
    )


def bootstrap(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of at least one value and where it would fall with other questions of the same kind."""
    data = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(data), (RESAMPLES, len(data)))
    low, high = np.percentile(data[picks].mean(axis=1), [2.5, 97.5])
    return Interval(mean=float(data.mean()), low=float(low), high=float(high))


def _span(passage: Passage, question: Question) -> Span:
    named = any(span.source for span in question.spans)
    return Span(start=passage.start, end=passage.end, source=passage.source if named else "")


def _merge(spans: Sequence[Span]) -> list[Span]:
    """The same characters, each once."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.source, span.start)):
        last = merged[-1] if merged else None
        if last is not None and last.source == span.source and span.start <= last.end:
            merged[-1] = Span(start=last.start, end=max(last.end, span.end), source=span.source)
        else:
            merged.append(span)
    return merged


def _size(spans: Sequence[Span]) -> int:
    return sum(span.end - span.start for span in spans)
