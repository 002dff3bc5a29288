"""The router: text -> scores over agents -> a `Decision`, or an abstention.

Everything is computed from labelled examples and the agents' job sentences in `fit`; deciding is one
embedding and a few matrix products. It calls no model and knows agents by name only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.core.decision import Decision, Neighbour, Subtask
from shoal.core.errors import ConfigError
from shoal.router.adapt import adapt_encoder
from shoal.router.description import describe_agents
from shoal.router.edge import Edge, as_edge
from shoal.router.encoder import Encoder, LayeredMiniLM, Vectors
from shoal.router.example import Example, Examples, parse_examples, text_key
from shoal.router.recent import RecentVectors
from shoal.router.report import FitReport, check_labels, inspect_examples
from shoal.router.split import split_request
from shoal.router.store import SavedRouter, digest_router, load_router, refused, save_router
from shoal.router.training import ENOUGH_HELD, Labelled, train
from shoal.router.tuning import Tuner

__all__ = ["Router"]

NEAREST = 3


class Router:
    """Build one with `Router.fit` or `Router.load`. Immutable; safe to share between threads."""

    def __init__(self, saved: SavedRouter, encoder: Encoder) -> None:
        self._saved = saved
        self._encoder = RecentVectors(encoder)

    @classmethod
    def fit(
        cls,
        examples: Examples = (),
        *,
        jobs: Mapping[str, str] | None = None,
        validation: Examples = (),
        encoder: Encoder | None = None,
        tuner: Tuner | None = None,
        seed: int = 0,
    ) -> "Router":
        """Learn from any number of examples, none included.

        Args:
            examples: `(text, agent)` pairs, agent None = out of scope, or the path of a JSONL file.
            jobs: Agent to its one-sentence job. Where given, its keys are the agents; the sentences
                are learnt from like examples. Where not, the agents' names are read as words.
            validation: Rows that no classifier is fitted on; confidence and threshold are. They stand for the
                traffic to come: the share of out-of-scope rows among them is expected of it. Texts that are
                examples too are left out.
            encoder: Defaults to MiniLM in this process.
            tuner: Adapts MiniLM to the examples first, for minutes; `shoal.training` has one.
            seed: Same examples, same seed: same router, in whatever order they come.

        Raises:
            ConfigError: unreadable examples, a label that is no agent, neither an example nor a job, or too
                few examples to tune on.
        """
        kept, report = inspect_examples(parse_examples(examples), jobs)
        agents = tuple(sorted(set(jobs) if jobs else report.per_agent))
        if not agents:
            raise ConfigError(
                "a router needs at least one agent",
                why="there is neither an example with a label nor a job sentence",
                mend='Router.fit([("where is my parcel?", "orders")]) or Router.fit(jobs={"orders": "..."})',
            )
        held, seen = _hold_out(validation, kept, agents)
        report = replace(report, validation_seen=seen)
        described = describe_agents(agents, jobs)
        tuning = folds = None
        if tuner is not None:
            if encoder is not None:
                raise ConfigError(
                    "a tuner adapts the built-in encoder", mend="leave `encoder` or `tuner` out"
                )
            texts, labels = _parts([*kept, *described], agents)
            labels[labels == len(agents)] = -1
            known = sum(row.agent is not None for row in held)
            judged = len(kept) if known < ENOUGH_HELD else 0
            tuning, folds = adapt_encoder(tuner, texts, labels, judged=judged, seed=seed)
        encoder = LayeredMiniLM(tuning) if tuning else encoder or LayeredMiniLM()
        trained = train(
            _encode(kept, agents, encoder),
            _encode(described, agents, encoder),
            _encode(held, agents, encoder),
            agents=len(agents),
            seed=seed,
            folds=folds,
        )
        return cls(SavedRouter(encoder.id, agents, trained, kept, report, tuning), encoder)

    @classmethod
    def load(cls, folder: str | Path, *, encoder: Encoder | None = None) -> "Router":
        """Read what `save` wrote.

        Raises:
            StorageDamaged: not a router, damaged, of another version, or made with another encoder.
        """
        saved = load_router(Path(folder))
        encoder = encoder or LayeredMiniLM(saved.tuning)
        if saved.encoder_id != encoder.id:
            raise refused(Path(folder), f"it was fitted with {saved.encoder_id}, this is {encoder.id}")
        return cls(saved, encoder)

    def save(self, folder: str | Path) -> None:
        """Write router.json, arrays.npz, examples.jsonl and, where it was tuned, encoder.npz.

        Nothing in them is executed on loading.

        Raises:
            StorageError: the folder cannot be written.
        """
        save_router(self._saved, Path(folder))

    @property
    def agents(self) -> tuple[str, ...]:
        return self._saved.agents

    @property
    def digest(self) -> str:
        """See `RoutePort.digest`."""
        return digest_router(self._saved)

    @property
    def encoder(self) -> Encoder:
        """Texts to vectors as this router sees them; the last ones are remembered."""
        return self._encoder

    @property
    def report(self) -> FitReport:
        """What `fit` found in the examples."""
        return self._saved.report

    @property
    def threshold(self) -> float:
        """Abstains below this confidence."""
        return self._saved.trained.judgement.threshold

    def decide(self, text: str) -> Decision:
        """See `RoutePort.decide`."""
        saved = self._saved
        if not text.strip():
            return self._abstain("the text is empty")
        trained = saved.trained
        row = self._project([text])
        evidence, found = trained.panel.look_closely(row)
        verdict = trained.weigh(evidence, row, len(self.agents))
        scores = verdict.classes[0][: len(saved.agents)]
        best = int(verdict.best[0])
        confidence = float(verdict.confidence[0])
        second = float(np.delete(scores, best).max(initial=0.0))
        fits = confidence >= self.threshold
        return Decision(
            agent=saved.agents[best] if fits else None,
            confidence=confidence,
            calibrated=trained.judgement.calibrated and best not in trained.judgement.unheard,
            best=saved.agents[best],
            margin=max(0.0, confidence - second),
            threshold=self.threshold,
            scores=dict(zip(saved.agents, map(float, scores), strict=True)),
            nearest=self._shown(found.nearest()),
            reason=_reason(saved.agents[best], confidence, self.threshold),
        )

    def split(self, text: str) -> tuple[Subtask, ...]:
        """See `RoutePort.split`."""

        def score(texts: Sequence[str]) -> list[tuple[str, float]]:
            trained, rows = self._saved.trained, self._project(texts)
            verdicts = trained.weigh(trained.panel.look(rows), rows, len(self.agents))
            best, sure = map(int, verdicts.best), map(float, verdicts.confidence)
            return [(self.agents[i], confidence) for i, confidence in zip(best, sure, strict=True)]

        return split_request(text, score)

    def as_edge(self, text: str = "text", otherwise: str = "__end__") -> Edge:
        """A callable for LangGraph's `add_conditional_edges`; see `edge.as_edge`."""
        return as_edge(self, text=text, otherwise=otherwise)

    def _project(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts where the panel looks, a row each."""
        return self._saved.trained.project(_finite(self._encoder.encode(texts), self._encoder))

    def _abstain(self, reason: str) -> Decision:
        return Decision(
            agent=None,
            confidence=None,
            calibrated=False,
            best=None,
            margin=0.0,
            threshold=self.threshold,
            reason=reason,
        )

    def _shown(self, found: Sequence[tuple[int, float]]) -> tuple[Neighbour, ...]:
        """Of the examples of the classes in question; job sentences are not shown."""
        examples = self._saved.examples
        shown = [(source, cosine) for source, cosine in found if source < len(examples)][:NEAREST]
        return tuple(
            Neighbour(text=examples[source].text, agent=examples[source].agent, similarity=cosine)
            for source, cosine in shown
        )


def _hold_out(
    validation: Examples, examples: Sequence[Example], agents: Sequence[str]
) -> tuple[list[Example], tuple[str, ...]]:
    """Validation rows, and texts that could not be among them: what was learnt is no measure of the rest."""
    rows, _ = inspect_examples(parse_examples(validation), None)
    check_labels(rows, agents)
    learnt = {text_key(example.text) for example in examples}
    held = [row for row in rows if text_key(row.text) not in learnt]
    return held, tuple(sorted({row.text for row in rows if text_key(row.text) in learnt}))


def _parts(examples: Sequence[Example], agents: tuple[str, ...]) -> tuple[list[str], NDArray[np.intp]]:
    """Texts, and classes; the one after the last agent is "out of scope"."""
    index: dict[str | None, int] = {agent: i for i, agent in enumerate((*agents, None))}
    return [e.text for e in examples], np.array([index[e.agent] for e in examples], np.intp)


def _encode(examples: Sequence[Example], agents: tuple[str, ...], encoder: Encoder) -> Labelled:
    texts, labels = _parts(examples, agents)
    return Labelled(_finite(encoder.encode(texts), encoder), labels)


def _finite(vectors: Vectors, encoder: Encoder) -> Vectors:
    if np.isfinite(vectors).all():
        return vectors
    raise ConfigError(
        "the encoder gave vectors that are not numbers",
        why=f"NaN or infinity from {encoder.id}",
        mend="leave `encoder` out to use the built-in one",
    )


def _reason(best: str, confidence: float, threshold: float) -> str:
    if confidence >= threshold:
        return f"{best} fits with confidence {confidence:.2f}"
    return f"{best} comes nearest, but its confidence {confidence:.2f} is below {threshold:.2f}"
