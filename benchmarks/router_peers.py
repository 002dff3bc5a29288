"""Other ways to choose an agent, over the same rows and with the same MiniLM.

Each runs in a process of its own, so that its memory can be told: `benchmarks/router.py` starts them.

    python benchmarks/router_peers.py NAME < TASK.json

TASK holds `jobs` (agent to sentence), `train` and `test` ([text, agent or null]). Prints one JSON object.
"""

import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.router import RoutedRow
from shoal.retrieval.embedder import MiniLM
from shoal.router import Router

__all__ = ["PEERS", "Task", "missing"]

Row = tuple[str, str | None]
Choice = tuple[str | None, float, bool]
"""The best agent, the score it got, and whether nobody is asked for want of one that fits."""
Chooser = Callable[[str], Choice]
REJECTED = 0.05
"""Peers without a threshold of their own get the one that turns away this share of their training rows."""
NEIGHBOURS = 10
SLM = "embedded:smollm2:135m"
SLM_ROWS = 60
KEPT_FOR_FIT = 5
"""semantic-router's `fit` gets every fifth row; its routes get the others."""


@dataclass(frozen=True)
class Task:
    jobs: Mapping[str, str]
    train: Sequence[Row]
    test: Sequence[Row]


def shoal(task: Task) -> Chooser:
    return _asking(Router.fit(task.train, jobs=task.jobs))


def shoal_jobs_only(task: Task) -> Chooser:
    return _asking(Router.fit(jobs=task.jobs))


def _asking(router: Router) -> Chooser:
    def choose(text: str) -> Choice:
        decision = router.decide(text)
        return decision.best, decision.confidence or 0.0, decision.abstained

    return choose


def zero_shot(task: Task) -> Chooser:
    """Cosine to the job sentence."""
    embedder, agents = MiniLM(), list(task.jobs)
    jobs = embedder.embed(list(task.jobs.values()))
    inside = [text for text, agent in task.train if agent is not None]
    threshold = float(np.quantile((embedder.embed(inside) @ jobs.T).max(axis=1), REJECTED))

    def choose(text: str) -> Choice:
        cosines = jobs @ embedder.embed([text])[0]
        best = int(cosines.argmax())
        return agents[best], float(cosines[best]), bool(cosines[best] < threshold)

    return choose


def neighbours(task: Task) -> Chooser:
    """The ten nearest examples vote, weighted by cosine; the score is the winner's share of ten."""
    embedder = MiniLM()
    inside = [(text, agent) for text, agent in task.train if agent is not None]
    vectors = embedder.embed([text for text, _ in inside])
    labels = np.array([agent for _, agent in inside])
    agents = sorted(set(labels.tolist()))

    def vote(cosines: NDArray[np.float32]) -> tuple[str, float]:
        near = np.argsort(-cosines, kind="stable")[:NEIGHBOURS]
        votes = [float(cosines[near][labels[near] == agent].sum()) for agent in agents]
        best = int(np.argmax(votes))
        return agents[best], votes[best] / NEIGHBOURS

    among = vectors @ vectors.T
    np.fill_diagonal(among, -1.0)
    threshold = float(np.quantile([vote(row)[1] for row in among], REJECTED))

    def choose(text: str) -> Choice:
        agent, score = vote(vectors @ embedder.embed([text])[0])
        return agent, score, score < threshold

    return choose


def semantic_router(task: Task) -> Chooser:
    """Before `fit`: no threshold, so it never abstains."""
    return _semantic_router(task, fit=False)


def semantic_router_fitted(task: Task) -> Chooser:
    """After `fit`: abstains where its calibrated confidence is below one half."""
    return _semantic_router(task, fit=True)


def _semantic_router(task: Task, *, fit: bool) -> Chooser:
    module = cast("Any", importlib.import_module("semantic_router"))
    encoders = cast("Any", importlib.import_module("semantic_router.encoders"))
    embedder = MiniLM()

    class SameMiniLM(encoders.DenseEncoder):
        name: str = embedder.id

        def __call__(self, docs: list[str]) -> list[list[float]]:
            return embedder.embed(docs).tolist()

        async def acall(self, docs: list[str]) -> list[list[float]]:
            return self(docs)

    kept = [row for i, row in enumerate(task.train) if not fit or i % KEPT_FOR_FIT]
    routes = [
        module.Route(name=agent, utterances=[text for text, label in kept if label == agent])
        for agent in sorted({label for _, label in kept if label is not None})
    ]
    router = module.IndexedRouter(encoder=SameMiniLM(), routes=routes)
    if fit:
        held = list(task.train[::KEPT_FOR_FIT])
        router.fit([text for text, _ in held], [label for _, label in held])

    def choose(text: str) -> Choice:
        choice = router(text)
        score = float(choice.confidence or 0.0)
        return choice.name, score, choice.name is None or (fit and score < 0.5)

    return choose


def small_model(task: Task) -> Chooser:
    """The probability that SmolLM2-135M gives each agent's name as the answer; the best case for a chooser,
    which cannot say anything else.
    """
    from platformdirs import user_cache_path

    from shoal.core.chat import ChatRequest, Message
    from shoal.models.embedded import EmbeddedModel
    from shoal.models.embedded_process import EngineSettings
    from shoal.models.weights import fetch_weights

    path = asyncio.run(fetch_weights(SLM.partition(":")[2], folder=user_cache_path("shoal") / "weights"))
    model = EmbeddedModel(SLM, EngineSettings(gguf=path, num_ctx=2048))
    team = "\n".join(f"{agent}: {job}" for agent, job in task.jobs.items())
    asked = f"You send requests to agents.\n{team}\nnone: no agent fits.\nAnswer with the agent's name."
    loop = asyncio.new_event_loop()

    def choose(text: str) -> Choice:
        request = ChatRequest(messages=(Message("system", asked), Message("user", text)))
        scores = loop.run_until_complete(model.score_labels(request, [*task.jobs, "none"]))
        best = max(task.jobs, key=lambda agent: scores[agent])
        return best, scores[best], scores["none"] > scores[best]

    return choose


PEERS: Mapping[str, Callable[[Task], Chooser]] = {
    "Shoal": shoal,
    "Shoal, job sentences only": shoal_jobs_only,
    "semantic-router, before fit": semantic_router,
    "semantic-router, after fit": semantic_router_fitted,
    "10 nearest examples": neighbours,
    "cosine to the job sentence": zero_shot,
    "SmolLM2-135M chooses": small_model,
}


def missing(name: str) -> str:
    """Why a peer cannot run here; empty = it can."""
    if name.startswith("semantic-router") and importlib.util.find_spec("semantic_router") is None:
        return "not installed: pip install semantic-router"
    return ""


def _rss_mb() -> float:
    """Peak of this process and, where there is one, of its model's process."""
    total = 0.0
    children = Path("/proc/self/task/").glob("*/children")
    pids = ["self", *(pid for path in children for pid in path.read_text().split())]
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return total


def main() -> None:
    name = sys.argv[1]
    task = Task(**json.load(sys.stdin))
    test = task.test[:: max(1, len(task.test) // SLM_ROWS)] if PEERS[name] is small_model else task.test
    started = time.perf_counter()
    choose = PEERS[name](task)
    fit_s = time.perf_counter() - started
    rows: list[dict[str, Any]] = []
    taken: list[tuple[float, float]] = []
    for text, label in test:
        wall, cpu = time.perf_counter(), time.process_time()
        agent, score, abstained = choose(text)
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        row = RoutedRow(text=text, label=label, predicted=agent, confidence=score, abstained=abstained)
        rows.append(asdict(row))
    # CPU time is this process's: it compares on a busy machine, but does not count a model's own process.
    p50_ms, p50_cpu_ms = np.median(taken, axis=0).tolist()
    calls = 1 if PEERS[name] is small_model else 0
    figures = {
        "rows": rows,
        "fit_s": fit_s,
        "p50_ms": p50_ms * 1e3,
        "p50_cpu_ms": p50_cpu_ms * 1e3,
        "rss_mb": _rss_mb(),
        "calls": calls,
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
