"""Escalation before the call: how often labelled rows are enough for it, and what it gives away.

MMLU, Mixtral -> GPT-4: questions without any confidence, so that the request is all there is to judge by.
Random draws of rows calibrate an agent's certificate, with and without the reader of difficulty; the rest is
judged by it.

    python benchmarks/cascade_foresight.py [DATA] [--draws 40] [--questions N]

DATA holds cascades/mmlu_mixtral_gpt4/train.jsonl.gz.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from shoal.core.decision import Signals
from shoal.router.encoder import Encoder, LayeredMiniLM, Vectors
from shoal.router.escalation import Certificate, LabelledAttempt, Policy, calibrate, read_difficulty
from shoal.router.escalation.reader import load_rows

ROWS = (150, 250, 500)
PROMISES = (0.1, 0.2, 0.3)


class Remembering:
    """The router's encoder, each text once."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoder: Encoder = LayeredMiniLM()
        self.id = encoder.id
        self._known = dict(zip(texts, encoder.encode(texts), strict=True))

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True)
class Drawn:
    """What one certificate made of the rows it had not seen."""

    has_reader: bool
    promised: bool
    kept: float
    error: float
    """Share of wrong answers among those kept; 0 where none was."""
    foreseen: float
    foreseen_right: float | None
    """Of those sent ahead, the share that the agent would have answered rightly."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--questions", type=int)
    options = parser.parse_args()
    path = options.data / "cascades" / "mmlu_mixtral_gpt4" / "train.jsonl.gz"
    if not path.is_file():
        sys.exit(f"there is no {path}: nothing to measure")
    rows = {
        row.prompt: LabelledAttempt(key=row.prompt, signals=Signals(), acceptable=row.small.correct)
        for row in load_rows([path])[: options.questions]
    }
    attempts, encoder = list(rows.values()), Remembering(list(rows))
    heads = ("rows", "at most", "reader", "promised", "with it", "kept", "broken", "ahead", "of these right")
    print(" ".join(f"{head:>14}" for head in heads))
    for count in ROWS:
        for max_error in PROMISES:
            draws = [draw(attempts, encoder, count, max_error, seed) for seed in range(options.draws)]
            show(count, max_error, draws)


def draw(
    attempts: Sequence[LabelledAttempt], encoder: Encoder, count: int, max_error: float, seed: int
) -> tuple[Drawn, Drawn]:
    """Without the reader, and with it."""
    order: list[int] = np.random.default_rng(seed).permutation(len(attempts)).tolist()
    count = min(count, len(order) // 2)
    chosen, rest = [attempts[at] for at in order[:count]], [attempts[at] for at in order[count:]]
    plain = calibrate("agent", chosen, max_error=max_error)
    known, reader = read_difficulty(chosen, encoder)
    read = calibrate("agent", known, max_error=max_error, reader=reader)
    return judge(plain, rest, encoder), judge(read, rest, encoder)


def judge(certificate: Certificate, rows: Sequence[LabelledAttempt], encoder: Encoder) -> Drawn:
    reader = certificate.reader
    if certificate.threshold is None:
        return Drawn(reader is not None, promised=False, kept=0, error=0, foreseen=0, foreseen_right=None)
    signals = [row.signals for row in rows]
    if reader is not None:
        vectors = encoder.encode([row.key for row in rows])
        signals = [
            replace(seen, difficulty=reader.read(row.key, vector))
            for seen, row, vector in zip(signals, rows, vectors, strict=True)
        ]
    policy = Policy(certificates={"agent": certificate})
    right = np.array([row.acceptable for row in rows])
    keep = np.array([policy.judge("agent", seen, large=True).action == "accept" for seen in signals])
    ahead = np.array([policy.foresee("agent", seen) is not None for seen in signals])
    return Drawn(
        has_reader=reader is not None,
        promised=True,
        kept=float(keep.mean()),
        error=float(1 - right[keep].mean()) if keep.any() else 0.0,
        foreseen=float(ahead.mean()),
        foreseen_right=float(right[ahead].mean()) if ahead.any() else None,
    )


def show(count: int, max_error: float, draws: Sequence[tuple[Drawn, Drawn]]) -> None:
    plain, read = [one for one, _ in draws], [one for _, one in draws]
    right = [one.foreseen_right for one in read if one.foreseen_right is not None]
    shares = (
        max_error,
        np.mean([one.has_reader for one in read]),
        np.mean([one.promised for one in plain]),
        np.mean([one.promised for one in read]),
        np.mean([one.kept for one in read]),
        np.mean([one.error > max_error for one in read]),
        np.mean([one.foreseen for one in read]),
        np.mean(right) if right else np.nan,
    )
    print(" ".join([f"{count:14}", *(f"{float(share):14.1%}" for share in shares)]))


if __name__ == "__main__":
    main()
