"""Cascades: how well the rows for the large model are chosen, and whether the promise holds.

Cross-validated on the training part of every set: five folds, several seeds, the same settings for all. A
prompt that occurs twice stays in one fold. Scores are ranked within their fold before the folds are put
together, because folds differ in level. Intervals: 95 %, bootstrap over rows, ours and the raw confidence on
the same rows. Then calibration and test on random halves, 200 times.

    python benchmarks/cascade.py [DATA] [--json FILE] [--pictures FOLDER]

DATA holds cascades/<set>/train.jsonl.gz.
"""

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.evaluation.cascade_curve import apgr, auroc, gain_curve, interval, oracle_scores
from shoal.evaluation.chart import Chart, Series, draw_chart
from shoal.retrieval.embedder import MiniLM
from shoal.router.escalation.forecast import fit_forecast
from shoal.router.escalation.learn_then_test import divide, seek_promise
from shoal.router.escalation.reader import CascadeRow, load_rows, name_models

SUBJECTS = ("mmlu", "triviaqa", "medmcqa", "truthfulqa")
PAIRS = ("8b_405b", "3b_70b", "1b_405b")
FOLDS, SEEDS, SPLITS = 5, 4, 200
PROMISES = (0.05, 0.10)
TOOLS = {"xLAM-1B -> GPT-4-0125": "gpt-4-0125-preview", "xLAM-1B -> GPT-4-1106": "gpt-4-1106-preview"}
Vector = NDArray[np.float64]


class Remembering:
    """MiniLM that embeds a text once."""

    id, dimension = MiniLM.id, MiniLM.dimension

    def __init__(self) -> None:
        self._model, self._known = MiniLM(threads=1), dict[str, NDArray[np.float32]]()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._model.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return self._model.token_spans(text)


EMBEDDER = Remembering()


@dataclass(frozen=True)
class Measured:
    """One set, cross-validated."""

    name: str
    rows: int
    small: float
    large: float
    raw_auroc: float | None
    raw: float | None
    """APGR of the small model's own confidence; None = it gave none."""
    ours: float
    ours_spread: float
    """Standard deviation over seeds."""
    ours_interval: tuple[float, float] | None
    gain_interval: tuple[float, float] | None
    """Of ours minus raw, or minus chance."""
    oracle: float | None


@dataclass(frozen=True)
class Kept:
    """Calibrated on one random half, tested on the other."""

    name: str
    max_error: float
    promised: float
    """Share of the splits in which anything was promised."""
    broken: float
    """Share of the splits in which the error of the test half was higher than promised."""
    share_local: float
    share_local_if_promised: float | None
    hindsight: float
    """Largest share that could be kept, knowing all outcomes."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    root = options.data / "cascades"
    if not root.is_dir():
        sys.exit(f"there is no {root}: nothing to measure")
    sets = {path.parent.name: load(path) for path in sorted(root.glob("*/train.jsonl.gz"))}
    measured = [measure(name, rows) for name, rows in sets.items() if name != "bfcl"]
    if "bfcl" in sets:
        path = root / "bfcl" / "train.jsonl.gz"
        small = name_models([path])[0]
        measured += [
            measure(title, load_rows([path], small=small, large=name)) for title, name in TOOLS.items()
        ]
    if "mmlu_mixtral_gpt4" in sets:
        subjects = read_field(root / "mmlu_mixtral_gpt4" / "train.jsonl.gz", "subject")
        measured.append(measure("mmlu_mixtral_gpt4, subjects left out", sets["mmlu_mixtral_gpt4"], subjects))
    print_measured(measured)
    kept = [one for name, rows in sets.items() for one in halves(name, rows)]
    print_kept(kept)
    costs = cost_of_judging(sets["triviaqa_8b_405b"]) if "triviaqa_8b_405b" in sets else {}
    print("\nCPU:", ", ".join(f"{name} {value:.3g}" for name, value in costs.items()))
    if options.json:
        result = {"measured": list(map(asdict, measured)), "kept": list(map(asdict, kept)), "cpu": costs}
        options.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if options.pictures:
        draw(sets, options.pictures)


def load(path: Path) -> tuple[CascadeRow, ...]:
    small, large = name_models([path])
    return load_rows([path], small=small, large=large)


def read_field(path: Path, field: str) -> list[str]:
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    return [str(json.loads(line)[field]) for line in lines if line.strip()]


def outcomes(rows: Sequence[CascadeRow]) -> tuple[Vector, Vector]:
    large = [row.large.correct if row.large is not None else False for row in rows]
    return np.array([row.small.correct for row in rows], np.float64), np.array(large, np.float64)


def ranks(values: Vector) -> Vector:
    return (np.argsort(np.argsort(values, kind="stable"), kind="stable") + 0.5) / len(values)


def fold_numbers(groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    names = list(dict.fromkeys(groups))
    of = dict(zip(names, (np.random.default_rng(seed).permutation(len(names)) % FOLDS).tolist(), strict=True))
    return np.array([of[name] for name in groups], np.intp)


def cross_validate(
    rows: Sequence[CascadeRow], groups: Sequence[str], seed: int
) -> tuple[Vector, Vector, Vector]:
    """Scores and raw doubts (ranked within folds) and confidences of every row, unseen by its forecast."""
    folds = fold_numbers(groups, seed)
    scores, doubts, confidences = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for fold in range(FOLDS):
        held = folds == fold
        forecast = fit_forecast([row for row, out in zip(rows, held, strict=True) if not out], EMBEDDER)
        mine = [row for row, out in zip(rows, held, strict=True) if out]
        found, confidences[held] = forecast.judge(mine)
        scores[held] = ranks(found)
        doubts[held] = ranks(np.array([-(row.small.confidence or 0.0) for row in mine]))
    return scores, doubts, confidences


def measure(name: str, rows: Sequence[CascadeRow], groups: Sequence[str] = ()) -> Measured:
    small, large = outcomes(rows)
    raw_known = all(row.small.confidence is not None for row in rows)
    runs = [cross_validate(rows, groups or [row.prompt for row in rows], seed) for seed in range(SEEDS)]
    ours = [area(scores, small, large) for scores, _, _ in runs]
    raw = [area(doubts, small, large) for _, doubts, _ in runs] if raw_known else []
    scores, doubts, _ = runs[0]

    def gain(pick: NDArray[np.intp]) -> float | None:
        mine = apgr(scores[pick], small[pick], large[pick])
        other = apgr(doubts[pick], small[pick], large[pick]) if raw_known else 0.5
        return None if mine is None or other is None else mine - other

    confidences = np.array([row.small.confidence or 0.0 for row in rows])
    return Measured(
        name=name,
        rows=len(rows),
        small=float(small.mean()),
        large=float(large.mean()),
        raw_auroc=auroc(confidences, small > 0) if raw_known else None,
        raw=statistics.fmean(raw) if raw else None,
        ours=statistics.fmean(ours),
        ours_spread=statistics.stdev(ours),
        ours_interval=interval(lambda pick: apgr(scores[pick], small[pick], large[pick]), len(rows)),
        gain_interval=interval(gain, len(rows)),
        oracle=apgr(oracle_scores(small, large), small, large),
    )


def area(scores: Vector, small: Vector, large: Vector) -> float:
    value = apgr(scores, small, large)
    return 0.5 if value is None else value


def halves(name: str, rows: Sequence[CascadeRow]) -> list[Kept]:
    """One entry a promise."""
    shares: dict[float, list[float]] = {error: [] for error in PROMISES}
    broken = dict.fromkeys(PROMISES, 0)
    for seed in range(SPLITS):
        order: list[int] = np.random.default_rng(seed).permutation(len(rows)).tolist()
        calibration = [rows[at] for at in order[: len(rows) // 2]]
        test = [rows[at] for at in order[len(rows) // 2 :]]
        fitted, tested = divide(calibration, lambda row: row.key)
        forecast = fit_forecast(fitted, EMBEDDER)
        confidences = forecast.judge([*tested, *test])[1]
        judged, unseen = confidences[: len(tested)].tolist(), confidences[len(tested) :]
        wrong = [not row.small.correct for row in tested]
        faults = np.array([not row.small.correct for row in test])
        for error in PROMISES:
            found = seek_promise(judged, wrong, max_error=error, level=0.95)
            if found is not None:
                keep = unseen >= found.threshold
                broken[error] += bool(keep.any() and faults[keep].mean() > error)
                shares[error].append(float(keep.mean()))
    return [
        Kept(
            name=name,
            max_error=error,
            promised=len(shares[error]) / SPLITS,
            broken=broken[error] / SPLITS,
            share_local=sum(shares[error]) / SPLITS,
            share_local_if_promised=statistics.fmean(shares[error]) if shares[error] else None,
            hindsight=hindsight(rows, error),
        )
        for error in PROMISES
    ]


def hindsight(rows: Sequence[CascadeRow], max_error: float) -> float:
    small, _ = outcomes(rows)
    confidences = cross_validate(rows, [row.prompt for row in rows], 0)[2]
    errors = np.cumsum(1 - small[np.argsort(-confidences)]) / np.arange(1, len(rows) + 1)
    fitting = np.flatnonzero(errors <= max_error)
    return float(fitting.max() + 1) / len(rows) if len(fitting) else 0.0


def cost_of_judging(rows: Sequence[CascadeRow]) -> dict[str, float]:
    """CPU seconds of a certificate, and milliseconds of a judgement beyond its one embedding."""
    some = (list(rows) * 2)[:500]
    before = time.process_time()
    fitted, tested = divide(some, lambda row: row.key)
    plain = fit_forecast(fitted, MiniLM(threads=1))
    wrong = [not row.small.correct for row in tested]
    seek_promise(plain.judge(tested)[1].tolist(), wrong, max_error=0.1, level=0.95)
    certificate = time.process_time() - before
    forecast = fit_forecast(fitted, EMBEDDER)
    forecast.judge(some)
    before = time.process_time()
    for row in some:
        forecast.judge([row])
    return {"certificate_500_rows_s": certificate, "judgement_ms": (time.process_time() - before) * 2}


def print_measured(measured: Sequence[Measured]) -> None:
    print(
        f"{'set':38} {'rows':>5} {'small':>6} {'large':>6} {'raw':>6} {'ours':>6}"
        "  95 %           ours - raw     oracle"
    )
    for one in measured:
        raw = "     -" if one.raw is None else f"{one.raw:6.3f}"
        print(
            f"{one.name:38} {one.rows:5} {one.small:6.3f} {one.large:6.3f} {raw} {one.ours:6.3f}"
            f"  {pair(one.ours_interval)}  {pair(one.gain_interval)}  {one.oracle or 0:.3f}"
        )
    for models in PAIRS:
        mine = [one for one in measured if one.name in {f"{subject}_{models}" for subject in SUBJECTS}]
        if mine:
            raw, ours = (statistics.fmean(getattr(one, key) for one in mine) for key in ("raw", "ours"))
            print(f"mean of {len(mine)} sets, {models}: raw {raw:.3f}, ours {ours:.3f}")


def print_kept(kept: Sequence[Kept]) -> None:
    print(
        f"\n{'promise at 95 %':24} {'error':>6} {'promised':>9} {'broken':>7} {'kept':>6}"
        f" {'if promised':>12} {'hindsight':>10}"
    )
    for one in kept:
        given = "-" if one.share_local_if_promised is None else f"{one.share_local_if_promised:.3f}"
        print(
            f"{one.name:24} {one.max_error:6.2f} {one.promised:9.1%} {one.broken:7.1%} {one.share_local:6.3f}"
            f" {given:>12} {one.hindsight:10.3f}"
        )


def pair(values: tuple[float, float] | None) -> str:
    return "      -      " if values is None else f"{values[0]:+.3f} {values[1]:+.3f}"


def draw(sets: dict[str, tuple[CascadeRow, ...]], folder: Path) -> None:
    """The pictures of docs/escalation.md."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [name for name in ("triviaqa_8b_405b", "truthfulqa_8b_405b", "triviaqa_1b_405b") if name in sets]
    found = {name: cross_validate(sets[name], [row.prompt for row in sets[name]], 0) for name in shown}
    reliability = [
        Series(name=name, points=bins(found[name][2], outcomes(sets[name])[0]), style="dots")
        for name in shown
    ]
    draw_chart(
        Chart(
            title="Reliability, unseen rows",
            across="confidence",
            up="share of right answers",
            series=reliability,
            reference=((0, 0), (1, 1)),
            x_range=(0, 1),
            y_range=(0, 1),
        ),
        folder / "cascade-reliability.png",
    )
    draw_chart(
        Chart(
            title="Answers kept against errors among them",
            across="share kept local",
            up="share of wrong answers among those kept",
            series=[
                Series(name=name, points=errors_kept(found[name][2], outcomes(sets[name])[0]))
                for name in shown
            ],
            reference=((0, 0.1), (1, 0.1)),
            x_range=(0, 1),
            y_range=(0, 0.8),
        ),
        folder / "cascade-share-error.png",
    )
    if "truthfulqa_8b_405b" in sets:
        name = "truthfulqa_8b_405b"
        draw_curves(name, sets[name], found[name], folder / "cascade-gap.png")


def draw_curves(
    name: str, rows: Sequence[CascadeRow], found: tuple[Vector, Vector, Vector], path: Path
) -> None:
    small, large = outcomes(rows)
    ordered: dict[str, Vector] = {
        "ours": found[0],
        "raw confidence": found[1],
        "oracle": oracle_scores(small, large),
    }
    curves = {title: gain_curve(scores, small, large) for title, scores in ordered.items()}
    draw_chart(
        Chart(
            title=f"Gap closed, {name}",
            across="share of calls to the large model",
            up="part of the gap that is closed",
            series=[
                Series(
                    name=title, points=list(zip(curve.share.tolist(), curve.recovered.tolist(), strict=True))
                )
                for title, curve in curves.items()
                if curve is not None
            ],
            reference=((0, 0), (1, 1)),
            x_range=(0, 1),
        ),
        path,
    )


def bins(confidences: Vector, right: Vector, count: int = 8) -> list[tuple[float, float]]:
    parts = np.array_split(np.argsort(confidences), count)
    return [(float(confidences[part].mean()), float(right[part].mean())) for part in parts]


def errors_kept(confidences: Vector, right: Vector) -> list[tuple[float, float]]:
    order = np.argsort(-confidences)
    errors = np.cumsum(1 - right[order]) / np.arange(1, len(order) + 1)
    first = max(1, len(order) // 20)  # before that the share jumps with every single answer
    return [((at + 1) / len(order), float(errors[at])) for at in range(first, len(order), 9)]


if __name__ == "__main__":
    main()
