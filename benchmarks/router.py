"""Routing: the targets on public data, and other ways to choose an agent side by side.

    python benchmarks/router.py [DATA] [--quick] [--json FILE]

DATA holds intents/, multi_intent/ and extraction/. Everything is fitted on training parts and measured on
validation parts. Shares are means over seeds; [low, high] is a 95 % bootstrap of such means over the test
rows, which all seeds share. At 10 and 5 examples a class a seed draws other examples; elsewhere it deals the
folds. Peers that are not installed are passed over with a line that says so. `--quick` has one seed and
leaves out the largest sets.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from router_peers import PEERS, missing

from shoal.evaluation.router import RoutedRow, route_rows, score_rows
from shoal.evaluation.split import evaluate_split, load_requests, single_intents
from shoal.project import open_project
from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM, Vectors
from shoal.router.example import Example, load_examples

ROOT = Path(__file__).parents[1]
RESAMPLES = 200
FEW = (
    ("banking77", 10, "accuracy >= .88"),
    ("banking77", 5, ""),
    ("hwu64", 10, "accuracy >= .86"),
    ("hwu64", 5, ""),
)
FIGURES = ("accuracy", "oos_auroc", "oos_recall", "in_scope_rejected", "ece")
SMALL_TALK = {"greeting", "goodbye", "thank_you"}
Examples = Sequence[Example]


class Remembered:
    """An encoder that meets each text once, so that many fits cost one embedding."""

    def __init__(self) -> None:
        self._encoder = LayeredMiniLM()
        self.id = self._encoder.id
        self._known: dict[str, Vectors] = {}

    def encode(self, texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= zip(new, self._encoder.encode(new), strict=True)
        return np.stack([self._known[text] for text in texts]) if texts else self._encoder.encode([])


@dataclass(frozen=True)
class Measured:
    name: str
    figures: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]]
    target: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not (options.data / "intents").is_dir():
        sys.exit(f"there are no intents in {options.data}: name the data folder")
    figures: dict[str, Any] = {"targets": [], "peers": {}}
    for measured in measure_targets(options.data, quick=options.quick):
        figures["targets"].append(measured.__dict__)
        show(measured)
    print("\nThe shipped team's ten agents; messages of validation parts, sorted as in router/README.md")
    for name, result in measure_peers(team_task(options.data)):
        figures["peers"][name] = result
        print(f"  {name:<30} {shown(result) if isinstance(result, dict) else result}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure_targets(data: Path, *, quick: bool) -> Iterable[Measured]:
    """One result after another, the dearest last."""
    intents, encoder = data / "intents", Remembered()
    seeds = range(1 if quick else 3)
    for name, few, target in FEW:
        train, test = load(intents / name, "train"), load(intents / name, "validation")
        runs = [fit_and_route(draw(train, few, seed), test, encoder, seed) for seed in seeds]
        yield summed(f"{name}, {few} examples a class", runs, target)
        if few == 10:
            runs = [
                fit_and_route(*left_out(draw(train, few, seed), test, seed), encoder, seed) for seed in seeds
            ]
            yield summed(f"{name}, {few} a class, a third of the classes out of scope", runs, "")
    train, test = load(intents / "banking77_oos", "train"), load(intents / "banking77_oos", "validation")
    yield summed(
        "banking77_oos, near and far", [fit_and_route(train, test, encoder, 0)], "oos_auroc >= .90 (near)"
    )
    yield measure_command(intents / "clinc150")
    for name in () if quick else ("banking77", "hwu64"):
        train, test = load(intents / name, "train"), load(intents / name, "validation")
        yield summed(f"{name}, all examples", [fit_and_route(train, test, encoder, 0)], "")
    for name, target in (("atis", ">= .75"),) if quick else (("atis", ">= .75"), ("snips", ">= .90")):
        yield measure_split(data, name, f"exact_match {target}", encoder)


def load(folder: Path, part: str) -> Examples:
    return load_examples(folder / f"{part}.jsonl.gz")


def draw(rows: Examples, count: int, seed: int) -> Examples:
    """`count` rows of each class."""
    by_class: dict[str | None, list[Example]] = defaultdict(list)
    for row in rows:
        by_class[row.agent].append(row)
    picks = random.Random(seed)
    return [row for members in by_class.values() for row in picks.sample(members, min(count, len(members)))]


def left_out(train: Examples, test: Examples, seed: int) -> tuple[Examples, Examples]:
    """A third of the classes is not learnt; their test rows are out of scope."""
    classes = sorted({row.agent for row in train if row.agent})
    out = set(random.Random(seed).sample(classes, len(classes) // 3))
    return (
        [row for row in train if row.agent not in out],
        [Example(row.text, None if row.agent in out else row.agent) for row in test],
    )


def fit_and_route(train: Examples, test: Examples, encoder: Remembered, seed: int) -> Sequence[RoutedRow]:
    encoder.encode([row.text for row in test])
    return route_rows(Router.fit(train, encoder=encoder, seed=seed), test)[0]


def summed(name: str, runs: Sequence[Sequence[RoutedRow]], target: str) -> Measured:
    return Measured(name, means(runs), bootstrap(runs), target)


def means(runs: Sequence[Sequence[RoutedRow]]) -> Mapping[str, float]:
    """Over the runs, of the figures that they know."""
    scores = [score_rows(rows) for rows in runs]
    values = {key: [getattr(score, key) for score in scores] for key in FIGURES}
    known = {key: [value for value in each if value is not None] for key, each in values.items()}
    return {key: float(np.mean(each)) for key, each in known.items() if each}


def bootstrap(runs: Sequence[Sequence[RoutedRow]]) -> Mapping[str, tuple[float, float]]:
    """Test rows are drawn anew, all seeds' answers to one together: three answers are not three rows."""
    picks, rows = np.random.default_rng(0), len(runs[0])
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(RESAMPLES):
        picked: list[int] = picks.integers(0, rows, rows).tolist()
        for key, value in means([[run[i] for i in picked] for run in runs]).items():
            found[key].append(value)
    ends = {key: np.percentile(values, [2.5, 97.5]) for key, values in found.items()}
    return {key: (float(low), float(high)) for key, (low, high) in ends.items()}


def measure_command(folder: Path) -> Measured:
    """CLINC150 through the command line: what a user measures, time and memory included."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "predictions.jsonl"
        train = [folder / "train.jsonl.gz", folder / "out_of_scope_train.jsonl.gz"]
        arguments = [part for path in train for part in ("--train", str(path))]
        arguments += ["--test", str(folder / "validation.jsonl.gz"), "--predictions", str(out), "--json"]
        command = [sys.executable, "-m", "shoal", "eval", "router", *arguments]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [RoutedRow(**json.loads(line)) for line in out.read_text(encoding="utf-8").splitlines()]
    told = json.loads(printed)
    measured = summed("clinc150, 150 agents", [rows], "accuracy >= .975, oos_auroc >= .98, oos_recall >= .85")
    costs = {"train_s": told["train_s"], "peak_rss_mb": told["peak_rss_mb"]}
    latency = {f"{key}_ms": value for key, value in told["latency_ms"].items()}
    return Measured(
        measured.name, {**measured.figures, **costs, **latency}, measured.intervals, measured.target
    )


def measure_split(data: Path, name: str, target: str, encoder: Remembered) -> Measured:
    train = single_intents(load_examples(data / "extraction" / name / "train.jsonl.gz"))
    requests = load_requests(data / "multi_intent" / f"mix{name}" / "validation.jsonl.gz")
    score = evaluate_split(Router.fit(train, encoder=encoder), requests)
    figures = {"exact_match": score.exact_match, "micro_f1": score.micro_f1}
    share, spread = score.exact_match or 0.0, 1.96 * (0.25 / len(requests)) ** 0.5
    return Measured(f"mix{name}", figures, {"exact_match": (share - spread, share + spread)}, target)


def team_task(data: Path) -> dict[str, Any]:
    """The shipped team, its examples, and messages it has not seen."""
    readme = (ROOT / "router" / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([a-z-]+) \| (`.+`) \|$", readme, re.MULTILINE)
    agent_of = {intent: agent for agent, intents in table for intent in re.findall(r"`([^`]+)`", intents)}
    banking = load(data / "intents" / "banking77", "validation")
    clinc = load(data / "intents" / "clinc150", "validation")
    test = [(row.text, agent_of[row.agent]) for row in banking if row.agent in agent_of]
    test += [(row.text, "small-talk") for row in clinc if row.agent in SMALL_TALK]
    test += [(row.text, None) for row in clinc if row.agent is None]
    train = load_examples(ROOT / "router" / "examples.jsonl")
    return {
        "jobs": {agent.name: agent.job for agent in open_project(ROOT).agents},
        "train": [(row.text, row.agent) for row in train],
        "test": test,
    }


def measure_peers(task: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any] | str]]:
    """Each in a process of its own."""
    for name in PEERS:
        if reason := missing(name):
            yield name, reason
            continue
        command = [sys.executable, str(Path(__file__).with_name("router_peers.py")), name]
        done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
        if done.returncode:
            yield name, f"failed: {done.stderr.strip().splitlines()[-1]}"
            continue
        told = json.loads(done.stdout)
        rows = [RoutedRow(**row) for row in told.pop("rows")]
        measured = summed(name, [rows], "")
        yield name, {"rows": len(rows), **measured.figures, "intervals": measured.intervals, **told}


def show(measured: Measured) -> None:
    print(f"{measured.name}" + (f"  (to reach: {measured.target})" if measured.target else ""))
    print(f"  {shown({**measured.figures, 'intervals': measured.intervals})}", flush=True)


def number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"


def shown(figures: Mapping[str, Any]) -> str:
    intervals: Mapping[str, tuple[float, float]] = figures.get("intervals", {})
    parts = [
        f"{key} {number(value)}"
        + (f" [{number(intervals[key][0])}, {number(intervals[key][1])}]" if key in intervals else "")
        for key, value in figures.items()
        if key != "intervals" and value is not None
    ]
    return ", ".join(parts)


if __name__ == "__main__":
    main()
