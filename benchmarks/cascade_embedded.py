"""A cascade on this machine's own engine: SmolLM2-135M asks Gemma-3-270M. Does routing pay here?

Both choose among six intents for requests of a validation set, with one example an intent; the confidence is
the probability of the chosen label. One half of the rows is learnt from, the other half judged.

    python benchmarks/cascade_embedded.py [DATA] [--rows 160] [--json FILE]

DATA holds intents/clinc150/{train,validation}.jsonl.gz. Weights: shoal models pull embedded:smollm2:135m
embedded:gemma3:270m.
"""

import argparse
import asyncio
import gzip
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from shoal.config import load_settings
from shoal.core.chat import ChatRequest, Message
from shoal.evaluation.cascade import evaluate_cascade
from shoal.models.embedded import EmbeddedModel
from shoal.models.embedded_process import EngineSettings
from shoal.models.weights import find_weights
from shoal.retrieval.embedder import MiniLM
from shoal.router.escalation.reader import CascadeRow, Outcome

SMALL, LARGE = "embedded:smollm2:135m", "embedded:gemma3:270m"
INTENTS = ("translate", "weather", "timer", "balance", "recipe", "flight_status")
Row = dict[str, str]


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    root = options.data / "intents" / "clinc150"
    if not root.is_dir():
        sys.exit(f"there is no {root}: nothing to measure")
    train = [row for row in load(root / "train.jsonl.gz") if row["label"] in INTENTS]
    examples = [next(row for row in train if row["label"] == intent) for intent in INTENTS]
    rows = [row for row in load(root / "validation.jsonl.gz") if row["label"] in INTENTS]
    order: list[int] = np.random.default_rng(0).permutation(len(rows)).tolist()
    rows = [rows[at] for at in order[: options.rows]]
    small, large = [await answer(name, rows, examples) for name in (SMALL, LARGE)]
    cascade = [
        CascadeRow(prompt=row["text"], small=one, large=other)
        for row, one, other in zip(rows, small, large, strict=True)
    ]
    half = len(cascade) // 2
    report, _ = evaluate_cascade(cascade[:half], cascade[half:], MiniLM(), max_error=0.2)
    waited = [sum(one.latency_ms or 0 for one in outcomes) / len(outcomes) for outcomes in (small, large)]
    text = json.dumps(
        {**asdict(report), "latency_ms": dict(zip((SMALL, LARGE), waited, strict=True))}, indent=2
    )
    print(text)
    if options.json:
        options.json.write_text(text, encoding="utf-8")


def load(path: Path) -> list[Row]:
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    return [json.loads(line) for line in lines if line.strip()]


async def answer(name: str, rows: list[Row], examples: list[Row]) -> list[Outcome]:
    """What one model makes of every row."""
    shown = "".join(f"Request: {row['text']}\nIntent: {row['label']}\n\n" for row in examples)
    head = f"Choose the intent of a request: {', '.join(INTENTS)}.\n\n{shown}"
    weights = find_weights(name.removeprefix("embedded:"), load_settings(None).weights_path)
    if weights is None:
        sys.exit(f"the weights of {name} are not here: shoal models pull {name}")
    model = EmbeddedModel(name, EngineSettings(gguf=weights, num_ctx=1024, slots=1))
    outcomes: list[Outcome] = []
    try:
        for row in rows:
            messages = (Message("user", f"{head}Request: {row['text']}\nIntent:"),)
            started = time.perf_counter()
            scores = await model.score_labels(ChatRequest(messages=messages), INTENTS)
            chosen = max(scores, key=scores.__getitem__)
            outcomes.append(
                Outcome(
                    correct=chosen == row["label"],
                    confidence=scores[chosen],
                    latency_ms=1000 * (time.perf_counter() - started),
                    answer=chosen,
                    model=name,
                )
            )
    finally:
        await model.aclose()
    return outcomes


if __name__ == "__main__":
    asyncio.run(main())
