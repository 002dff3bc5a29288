"""Scores counted by hand, and a retriever measured with them."""

import pytest

from shoal.core.errors import InputError
from shoal.core.passage import Passage
from shoal.evaluation.retrieval import (
    Question,
    Span,
    bootstrap,
    evaluate_retriever,
    load_questions,
    score_spans,
)


def span(start: int, end: int, source: str = "") -> Span:
    return Span(start=start, end=end, source=source)


def test_half_of_the_evidence_in_a_passage_of_twice_its_size() -> None:
    score = score_spans([span(0, 100)], [span(50, 250)])
    assert (score.recall, score.precision, score.iou) == (0.5, 0.25, 50 / 250)


def test_what_overlaps_counts_once_as_found_and_twice_as_cost() -> None:
    score = score_spans([span(0, 100)], [span(0, 100), span(50, 150)])
    assert score.recall == 1
    assert score.precision == pytest.approx(100 / 150)
    assert score.iou == pytest.approx(100 / 200)


def test_overlapping_evidence_counts_once() -> None:
    assert score_spans([span(0, 60), span(40, 100)], [span(0, 50)]).recall == 0.5


def test_the_same_place_in_another_document_is_not_evidence() -> None:
    score = score_spans([span(0, 100, "a.md")], [span(0, 100, "b.md")])
    assert (score.recall, score.precision, score.iou) == (0, 0, 0)


def test_nothing_retrieved_is_zero() -> None:
    score = score_spans([span(0, 100)], [])
    assert (score.recall, score.precision, score.iou) == (0, 0, 0)


def test_bootstrap_holds_the_mean_and_narrows_with_more_values() -> None:
    few, many = bootstrap([0.0, 1.0] * 10), bootstrap([0.0, 1.0] * 1000)
    assert few.mean == many.mean == 0.5
    assert few.low < 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5


def test_questions_are_read_and_bad_lines_named() -> None:
    line = '{"question": "why?", "spans": [{"start": 1, "end": 4}]}'
    assert load_questions([line, ""], "q.jsonl") == (Question(question="why?", spans=(span(1, 4),)),)
    with pytest.raises(InputError, match=r"line 2 of q\.jsonl"):
        load_questions([line, '{"question": "why?", "spans": []}'], "q.jsonl")


class Fixed:
    """Always finds the same."""

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        del query
        passages = [Passage(text="", source="a.md", start=at, end=at + 10) for at in (0, 10, 20)]
        return tuple(passages[:limit])


@pytest.mark.parametrize(("source", "recall"), [("", 1.0), ("a.md", 1.0), ("b.md", 0.0)])
async def test_a_retriever_is_asked_every_question(source: str, recall: float) -> None:
    question = Question(question="?", spans=(span(0, 20, source),))
    scores = await evaluate_retriever(Fixed(), [question, question], limit=2)
    assert [score.recall for score in scores] == [recall, recall]
    (one,) = await evaluate_retriever(Fixed(), [Question(question="?", spans=(span(0, 20),))], limit=1)
    assert one.recall == 0.5
