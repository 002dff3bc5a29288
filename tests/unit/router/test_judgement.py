"""What confidence promises, on rows whose law is known: Gaussian clouds around class centres."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.router.judgement import IN_SCOPE_REJECTED, OUT_OF_SCOPE_SHARE, Verdicts, out_of_scope_share
from shoal.router.training import Labelled, Trained, train

AGENTS, WIDTH = 6, 24
CENTRES = np.random.default_rng(0).normal(size=(AGENTS + 4, WIDTH))
NOTHING = Labelled(np.empty((0, WIDTH), np.float16), np.empty(0, np.intp))


def draw(count: int, classes: int, seed: int) -> Labelled:
    """Rows of the first so many clouds; those after the agents' are out of scope."""
    random = np.random.default_rng(seed)
    clouds = random.integers(classes, size=count)
    rows = CENTRES[clouds] + 1.2 * random.normal(size=(count, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Labelled(rows.astype(np.float16), np.minimum(clouds, AGENTS).astype(np.intp))


def judge(trained: Trained, rows: Labelled) -> Verdicts:
    return trained.judgement.weigh(trained.panel.look(trained.project(rows.vectors)), AGENTS)


def gap(verdicts: Verdicts, labels: NDArray[np.intp]) -> float:
    """Mean confidence less the share of right answers."""
    return float(verdicts.confidence.mean() - (verdicts.best == labels).mean())


def test_confidence_is_the_share_of_right_answers_and_the_threshold_keeps_its_word() -> None:
    trained = train(draw(600, AGENTS, 1), NOTHING, NOTHING, agents=AGENTS, seed=0)
    unseen = draw(4_000, AGENTS, 2)
    verdicts = judge(trained, unseen)
    assert trained.judgement.calibrated
    assert gap(verdicts, unseen.labels) == pytest.approx(0.0, abs=0.05)
    rejected = (verdicts.confidence < trained.judgement.threshold).mean()
    assert rejected == pytest.approx(IN_SCOPE_REJECTED, abs=0.02)


def test_texts_of_no_class_are_doubted_without_an_example_of_one() -> None:
    trained = train(draw(600, AGENTS, 1), NOTHING, NOTHING, agents=AGENTS, seed=0)
    known, unknown = judge(trained, draw(500, AGENTS, 2)), judge(trained, draw(500, AGENTS + 4, 3))
    strange = draw(500, AGENTS + 4, 3).labels == AGENTS
    assert np.median(unknown.confidence[strange]) < np.quantile(known.confidence, 0.25)


def test_validation_rows_say_how_much_traffic_is_out_of_scope() -> None:
    examples, traffic = draw(600, AGENTS, 1), draw(800, AGENTS + 4, 2)
    informed = train(examples, NOTHING, traffic, agents=AGENTS, seed=0)
    unseen = draw(4_000, AGENTS + 4, 3)
    naive = train(examples, NOTHING, NOTHING, agents=AGENTS, seed=0)
    assert abs(gap(judge(informed, unseen), unseen.labels)) < 0.05
    assert gap(judge(naive, unseen), unseen.labels) > 0.05


def test_validation_rows_without_any_out_of_scope_row_promise_nothing() -> None:
    assert out_of_scope_share(np.zeros(1_000, np.intp), AGENTS) == OUT_OF_SCOPE_SHARE
    assert out_of_scope_share(np.array([0] * 700 + [AGENTS] * 300), AGENTS) == pytest.approx(0.26, abs=0.01)


def test_too_few_rows_are_judged_by_constants_and_say_so() -> None:
    trained = train(draw(20, AGENTS, 1), NOTHING, NOTHING, agents=AGENTS, seed=0)
    assert not trained.judgement.calibrated
