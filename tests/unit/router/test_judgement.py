"""What confidence promises, on rows whose law is known: Gaussian clouds around class centres."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal.router.judgement import IN_SCOPE_REJECTED, OUT_OF_SCOPE_SHARE, Verdicts, out_of_scope_share
from shoal.router.training import ENOUGH_HELD, Labelled, Trained, train

AGENTS, WIDTH = 6, 24
CENTRES = np.random.default_rng(0).normal(size=(AGENTS + 4, WIDTH))
NOTHING = Labelled(np.empty((0, WIDTH), np.float16), np.empty(0, np.intp))


def draw(count: int, classes: int, seed: int) -> Labelled:
    """Rows of the first so many clouds; those after the agents' are out of scope."""
    random = np.random.default_rng(seed)
    clouds = random.integers(classes, size=count)
    rows = CENTRES[clouds] + 1.2 * random.normal(size=(count, WIDTH))
    return Labelled(as_vectors(rows), np.minimum(clouds, AGENTS).astype(np.intp))


def as_vectors(rows: NDArray[np.float64]) -> NDArray[np.float16]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def judge(trained: Trained, rows: Labelled) -> Verdicts:
    seen = trained.project(rows.vectors)
    return trained.weigh(trained.panel.look(seen), seen, AGENTS)


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


def test_validation_rows_that_are_all_out_of_scope_promise_nothing_and_take_no_rows_place() -> None:
    assert out_of_scope_share(np.full(510, AGENTS), AGENTS) == OUT_OF_SCOPE_SHARE
    strangers = draw(3 * ENOUGH_HELD, AGENTS + 4, 2)
    beyond = np.flatnonzero(strangers.labels == AGENTS)
    assert len(beyond) >= ENOUGH_HELD
    nobodys = Labelled(strangers.vectors[beyond], strangers.labels[beyond])
    trained = train(draw(600, AGENTS, 1), NOTHING, nobodys, agents=AGENTS, seed=0)
    assert trained.judgement.calibrated
    unseen = draw(4_000, AGENTS, 3)
    assert gap(judge(trained, unseen), unseen.labels) == pytest.approx(0.0, abs=0.05)


def test_few_rows_are_judged_as_strictly_as_new_texts_are() -> None:
    width, random = 300, np.random.default_rng(0)
    centres = random.normal(size=(AGENTS, width))

    def rows(count: int) -> Labelled:
        labels = np.arange(count) % AGENTS
        vectors = centres[labels] + 2.5 * random.normal(size=(count, width))
        return Labelled(as_vectors(vectors), labels)

    nothing = Labelled(np.empty((0, width), np.float16), np.empty(0, np.intp))
    trained = train(rows(120), nothing, nothing, agents=AGENTS, seed=0)
    unseen = trained.panel.look(trained.project(rows(2_000).vectors)).typicality.max(axis=1)
    assert trained.judgement.centre[2] == pytest.approx(float(unseen.mean()), abs=0.4 * float(unseen.std()))


@pytest.mark.parametrize("heard", [1, 2, 4, 5])
def test_a_few_examples_of_some_agents_take_nothing_from_the_others(heard: int) -> None:
    jobs = Labelled(as_vectors(CENTRES[:AGENTS]), np.arange(AGENTS))
    drawn, unseen = draw(8 * AGENTS, AGENTS, 1), draw(3_000, AGENTS, 2)
    theirs, others = drawn.labels < heard, unseen.labels >= heard
    shares: list[float] = []
    for examples in (NOTHING, Labelled(drawn.vectors[theirs], drawn.labels[theirs])):
        trained = train(examples, jobs, NOTHING, agents=AGENTS, seed=0)
        verdicts = judge(trained, unseen)
        right = (verdicts.best == unseen.labels) & (verdicts.confidence >= trained.judgement.threshold)
        shares.append(float(right[others].mean()))
    assert shares[1] > shares[0] - 0.03


def test_too_few_rows_are_judged_by_constants_and_say_so() -> None:
    trained = train(draw(20, AGENTS, 1), NOTHING, NOTHING, agents=AGENTS, seed=0)
    assert not trained.judgement.calibrated
