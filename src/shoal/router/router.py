"""The router: text -> scores over agents -> a `Decision`, or an abstention.

Everything is computed from labelled examples and the agents' job sentences in `fit`; deciding is one
embedding and one matrix product. It calls no model and knows agents by name only.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.core.decision import Decision, Neighbour, Subtask
from shoal.core.errors import ConfigError
from shoal.retrieval.embedder import Embedder, MiniLM
from shoal.router.calibration import Calibration, fit_calibration, threshold_for_rejection
from shoal.router.edge import Edge, as_edge
from shoal.router.example import Example, Examples, parse_examples
from shoal.router.head import LinearHead, fit_head, out_of_fold
from shoal.router.report import FitReport, inspect_examples
from shoal.router.split import split_request
from shoal.router.store import SavedRouter, load_router, save_router

__all__ = ["Router"]

IN_SCOPE_REJECTED = 0.05
"""Share of in-scope requests that the threshold may turn away, measured out of fold."""
UNCALIBRATED_THRESHOLD = 0.3
NEAREST = 3


class Router:
    """Build one with `Router.fit` or `Router.load`. Immutable; safe to share between threads."""

    def __init__(self, saved: SavedRouter, embedder: Embedder) -> None:
        self._saved = saved
        self._embedder = embedder

    @classmethod
    def fit(
        cls,
        examples: Examples = (),
        *,
        jobs: Mapping[str, str] | None = None,
        validation: Examples = (),
        embedder: Embedder | None = None,
        seed: int = 0,
    ) -> "Router":
        """Learn from any number of examples, none included.

        Args:
            examples: `(text, agent)` pairs, agent None = out of scope, or the path of a JSONL file.
            jobs: Agent to its one-sentence job. Where given, its keys are the agents; the sentences
                stand in for missing examples.
            validation: Rows kept out of learning; confidence and threshold are set on them. Without any,
                on rows held out of the examples in turn.
            embedder: Defaults to MiniLM in this process.
            seed: Same examples, same seed: same router, in whatever order they come.

        Raises:
            ConfigError: unreadable examples, or neither an example nor a job.
        """
        embedder = embedder or MiniLM()
        kept, report = inspect_examples(parse_examples(examples), jobs)
        agents = tuple(sorted(set(jobs) if jobs else report.per_agent))
        if not agents:
            raise ConfigError(
                "a router needs at least one agent",
                why="there is neither an example with a label nor a job sentence",
                mend='Router.fit([("where is my parcel?", "orders")]) or Router.fit(jobs={"orders": "..."})',
            )
        vectors = _finite(embedder.embed([example.text for example in kept]), embedder)
        saved = _fit(kept, vectors, agents, jobs or {}, embedder, report, seed)
        held, _ = inspect_examples(parse_examples(validation), dict.fromkeys(agents, ""))
        return cls(_set_on(held, saved, embedder) if held else saved, embedder)

    @classmethod
    def load(cls, folder: str | Path, *, embedder: Embedder | None = None) -> "Router":
        """Read what `save` wrote.

        Raises:
            StorageDamaged: not a router, damaged, of another version, or made with another embedder.
        """
        embedder = embedder or MiniLM()
        return cls(load_router(Path(folder), embedder_id=embedder.id), embedder)

    def save(self, folder: str | Path) -> None:
        """Write router.json, arrays.npz and examples.jsonl; nothing in them is executed on loading.

        Raises:
            StorageError: the folder cannot be written.
        """
        save_router(self._saved, Path(folder))

    @property
    def agents(self) -> tuple[str, ...]:
        return self._saved.agents

    @property
    def report(self) -> FitReport:
        """What `fit` found in the examples."""
        return self._saved.report

    @property
    def threshold(self) -> float:
        """Abstains below this confidence."""
        return self._saved.threshold

    def decide(self, text: str) -> Decision:
        """See `RoutePort.decide`."""
        saved = self._saved
        if not text.strip():
            return self._abstain("the text is empty")
        vector = _finite(self._embedder.embed([text]), self._embedder)
        scores = saved.head.probabilities(vector)[0][: len(saved.agents)]
        order = np.argsort(-scores, kind="stable")
        top = float(scores[order[0]])
        margin = top - float(scores[order[1]]) if len(order) > 1 else top
        confidence = saved.calibration(top) if saved.calibration else top
        best = saved.agents[int(order[0])]
        fits = confidence >= saved.threshold
        return Decision(
            agent=best if fits else None,
            confidence=confidence,
            calibrated=saved.calibration is not None,
            best=best,
            margin=min(1.0, max(0.0, margin)),
            threshold=saved.threshold,
            scores={agent: float(score) for agent, score in zip(saved.agents, scores, strict=True)},
            nearest=self._nearest(vector[0]),
            reason=_reason(best, confidence, saved.threshold),
        )

    def split(self, text: str) -> tuple[Subtask, ...]:
        """See `RoutePort.split`."""

        def best(piece: str) -> tuple[str | None, float]:
            decision = self.decide(piece)
            return decision.agent, decision.confidence or 0.0

        return split_request(text, best)

    def as_edge(self, text: str = "text", otherwise: str = "__end__") -> Edge:
        """A callable for LangGraph's `add_conditional_edges`; see `edge.as_edge`."""
        return as_edge(self, text=text, otherwise=otherwise)

    def _abstain(self, reason: str) -> Decision:
        return Decision(
            agent=None,
            confidence=None,
            calibrated=False,
            best=None,
            margin=0.0,
            threshold=self._saved.threshold,
            reason=reason,
        )

    def _nearest(self, vector: NDArray[np.float32]) -> tuple[Neighbour, ...]:
        similarity = self._saved.vectors @ vector
        first = np.argsort(-similarity, kind="stable")[:NEAREST]
        return tuple(
            Neighbour(
                text=self._saved.examples[i].text,
                agent=self._saved.examples[i].agent,
                similarity=float(np.clip(similarity[i], -1.0, 1.0)),
            )
            for i in map(int, first)
        )


def _fit(  # noqa: PLR0913, PLR0917 (the parts of one computation, each computed just before)
    kept: tuple[Example, ...],
    vectors: NDArray[np.float32],
    agents: tuple[str, ...],
    jobs: Mapping[str, str],
    embedder: Embedder,
    report: FitReport,
    seed: int,
) -> SavedRouter:
    # What belongs to nobody is one more class, after the agents.
    index: dict[str | None, int] = {agent: i for i, agent in enumerate((*agents, None))}
    rows, labels = vectors, np.array([index[example.agent] for example in kept], np.intp)
    if jobs:
        rows = np.vstack([rows, _finite(embedder.embed([jobs[agent] for agent in agents]), embedder)])
        labels = np.concatenate([labels, np.arange(len(agents))])
    calibration: Calibration | None = None
    threshold = UNCALIBRATED_THRESHOLD
    classes = len(agents) + bool((labels == len(agents)).any())
    if classes > 1 and len(kept) > 2 * classes:
        order = np.random.default_rng(seed).permutation(len(labels))
        held = out_of_fold(rows[order], labels[order], classes)[:, : len(agents)]
        top, right = held.max(axis=1), held.argmax(axis=1) == labels[order]
        calibration = fit_calibration(top, right)
        if calibration:
            in_scope = top[labels[order] < len(agents)]
            confidences = np.array([calibration(float(score)) for score in in_scope])
            threshold = threshold_for_rejection(confidences, IN_SCOPE_REJECTED)
    return SavedRouter(
        embedder_id=embedder.id,
        agents=agents,
        head=fit_head(rows, labels, classes) if classes > 1 else _only(rows),
        calibration=calibration,
        threshold=threshold,
        examples=kept,
        vectors=vectors,
        report=report,
    )


def _set_on(held: tuple[Example, ...], saved: SavedRouter, embedder: Embedder) -> SavedRouter:
    """Confidence and threshold from rows that nothing was learnt from."""
    vectors = _finite(embedder.embed([example.text for example in held]), embedder)
    scores = saved.head.probabilities(vectors)[:, : len(saved.agents)]
    index = {agent: i for i, agent in enumerate(saved.agents)}
    labels = np.array([index.get(example.agent or "", -1) for example in held])
    calibration = fit_calibration(scores.max(axis=1), scores.argmax(axis=1) == labels)
    if calibration is None:
        return saved
    in_scope = scores.max(axis=1)[labels >= 0]
    confidences = np.array([calibration(float(score)) for score in in_scope])
    return replace(
        saved, calibration=calibration, threshold=threshold_for_rejection(confidences, IN_SCOPE_REJECTED)
    )


def _only(rows: NDArray[np.float32]) -> LinearHead:
    return LinearHead(np.zeros((rows.shape[1], 1), np.float32), np.zeros(1, np.float32))


def _finite(vectors: NDArray[np.float32], embedder: Embedder) -> NDArray[np.float32]:
    if np.isfinite(vectors).all():
        return vectors
    raise ConfigError(
        "the embedder gave vectors that are not numbers",
        why=f"NaN or infinity from {embedder.id}",
        mend="check the embedder's weights; the built-in one is used when none is given",
    )


def _reason(best: str, confidence: float, threshold: float) -> str:
    if confidence >= threshold:
        return f"{best} fits with confidence {confidence:.2f}"
    return f"{best} comes nearest, but its confidence {confidence:.2f} is below {threshold:.2f}"
