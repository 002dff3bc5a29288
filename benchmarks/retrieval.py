"""Retrieval: how much of the evidence is found, beside plain token windows, and what an index costs.

Compares, for every corpus in the data folder and at the same number of chunks of the same largest size:
token windows of 250 with 125 overlap and cosine (the best published setting for all-MiniLM-L6-v2), our
chunks with cosine, with BM25, with both, and with both through an index in Chroma as a team uses it.

    python benchmarks/retrieval.py [DATA] [--limit 5] [--json FILE]

DATA holds retrieval/<corpus>/corpus.md and questions.jsonl.gz.
"""

import argparse
import asyncio
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoal.core.passage import Passage
from shoal.core.port import Retriever
from shoal.evaluation.retrieval import Question, SpanScore, bootstrap, evaluate_retriever, load_questions
from shoal.retrieval.chunking import ChunkSize, chunk_document
from shoal.retrieval.embedder import MiniLM
from shoal.retrieval.index import KnowledgeIndex
from shoal.retrieval.ranking import LEXICAL_WEIGHT, Ranking

BASELINE = "token windows 250/125, cosine"
SHIPPED = "our chunks, cosine + BM25, Chroma"
WEIGHTS = {"our chunks, cosine": 0.0, "our chunks, BM25": 1e6, "our chunks, cosine + BM25": LEXICAL_WEIGHT}
IMPORT_CHROMA = """
import time
def rss_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
import numpy, shoal.retrieval.index
before, start = rss_mb(), time.perf_counter()
import chromadb
print(time.perf_counter() - start, rss_mb() - before)
"""


@dataclass(frozen=True)
class Corpus:
    name: str
    text: str
    questions: tuple[Question, ...]


class InMemory:
    """A `Retriever` over given passages."""

    def __init__(self, passages: Sequence[Passage], embedder: MiniLM, lexical_weight: float) -> None:
        texts = [passage.text for passage in passages]
        self._passages = passages
        self._embedder = embedder
        self._weight = lexical_weight
        self._ranking = Ranking(texts, embedder.embed(texts))

    async def search(self, query: str, *, limit: int = 5) -> tuple[Passage, ...]:
        vector = self._embedder.embed([query])[0]
        found = self._ranking.search(query, vector, limit, lexical_weight=self._weight)
        return tuple(self._passages[row] for row, _ in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=5, help="chunks per question")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    corpora = load_corpora(options.data / "retrieval")
    if not corpora:
        sys.exit(f"there are no corpora in {options.data / 'retrieval'}: name the data folder")
    figures = asyncio.run(measure(corpora, options.limit))
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


def load_corpora(folder: Path) -> list[Corpus]:
    corpora: list[Corpus] = []
    for path in sorted(folder.glob("*/questions.jsonl.gz")):
        # On "\n" alone: questions may hold other characters that count as line ends.
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        text = path.with_name("corpus.md").read_bytes().decode()
        corpora.append(Corpus(path.parent.name, text, load_questions(lines, str(path))))
    return corpora


async def measure(corpora: Sequence[Corpus], limit: int) -> dict[str, Any]:
    scores: dict[str, dict[str, tuple[SpanScore, ...]]] = {}
    costs: dict[str, Any] = {}
    embedder = MiniLM()
    for corpus in corpora:
        ours = [
            Passage(text=chunk.text, source="", start=chunk.start, end=chunk.end)
            for chunk in chunk_document(corpus.text, embedder.token_spans, markdown=True, size=ChunkSize())
        ]
        systems: dict[str, Retriever] = {
            BASELINE: InMemory(token_windows(corpus.text, embedder), embedder, 0.0),
            **{name: InMemory(ours, embedder, weight) for name, weight in WEIGHTS.items()},
        }
        for name, system in systems.items():
            found = await evaluate_retriever(system, corpus.questions, limit=limit)
            scores.setdefault(name, {})[corpus.name] = found
        found, costs[corpus.name] = await through_chroma(corpus, embedder, limit)
        scores.setdefault(SHIPPED, {})[corpus.name] = found
    import_s, import_mb = import_chroma()
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "limit": limit,
        "questions": {corpus.name: len(corpus.questions) for corpus in corpora},
        "scores": {name: summary(by_corpus) for name, by_corpus in scores.items()},
        "recall_gain_over_baseline": {
            name: asdict(bootstrap(gains(by_corpus, scores[BASELINE])))
            for name, by_corpus in scores.items()
            if name != BASELINE
        },
        "index": costs,
        "import_chromadb": {"seconds": import_s, "rss_mb": import_mb},
    }


async def through_chroma(
    corpus: Corpus, embedder: MiniLM, limit: int
) -> tuple[tuple[SpanScore, ...], dict[str, float]]:
    """Index the corpus as a folder of one file and ask it as a team would."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / corpus.name
        root.mkdir()
        (root / "corpus.md").write_bytes(corpus.text.encode())
        index = KnowledgeIndex(root, Path(folder) / "data", embedder)
        start = time.perf_counter()
        report = await asyncio.to_thread(index.writer.add)
        index_s = time.perf_counter() - start
        found = await evaluate_retriever(index, corpus.questions, limit=limit)
        queries: list[float] = []
        for question in corpus.questions:
            start = time.perf_counter()
            _ = await index.search(question.question, limit=limit)
            queries.append(time.perf_counter() - start)
        start = time.perf_counter()
        damages = await asyncio.to_thread(index.writer.verify)
        verify_s = time.perf_counter() - start
        await index.aclose()
    return found, {
        "chunks": report.chunks,
        "index_s": index_s,
        "verify_s": verify_s,
        "damages": len(damages),
        "query_p50_ms": statistics.median(queries) * 1e3,
        "query_p95_ms": float(np.percentile(queries, 95)) * 1e3,
    }


def token_windows(text: str, embedder: MiniLM, size: int = 250, overlap: int = 125) -> list[Passage]:
    spans = embedder.token_spans(text)
    windows = [spans[at : at + size] for at in range(0, max(1, len(spans) - overlap), size - overlap)]
    ends = [(window[0][0], window[-1][1]) for window in windows]
    return [Passage(text=text[start:end], source="", start=start, end=end) for start, end in ends]


def summary(by_corpus: dict[str, tuple[SpanScore, ...]]) -> dict[str, Any]:
    everything = tuple(score for scores in by_corpus.values() for score in scores)
    return {
        corpus: {
            field: asdict(bootstrap([getattr(score, field) for score in scores]))
            for field in ("recall", "precision", "iou")
        }
        for corpus, scores in [*by_corpus.items(), ("all", everything)]
    }


def gains(ours: dict[str, tuple[SpanScore, ...]], baseline: dict[str, tuple[SpanScore, ...]]) -> list[float]:
    """Recall minus the baseline's, question by question."""
    return [
        score.recall - other.recall
        for corpus, scores in ours.items()
        for score, other in zip(scores, baseline[corpus], strict=True)
    ]


def import_chroma() -> tuple[float, float]:
    """Seconds and resident megabytes that the first use of an index adds to a process."""
    done = subprocess.run([sys.executable, "-c", IMPORT_CHROMA], capture_output=True, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


if __name__ == "__main__":
    main()
