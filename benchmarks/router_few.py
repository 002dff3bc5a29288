"""Routing of small teams that have few examples or none: what is turned away, and what is noticed.

    python benchmarks/router_few.py [DATA] [--seeds 5]

Teams of 2 to 12 agents are drawn from the intents of CLINC150, BANKING77 and HWU64 (train and validation
parts); an agent has the job "Answer questions about INTENT." and 0 to 5 examples. Messages of other intents
are out of scope. Below 50 examples confidence and threshold are the built-in constants, which were chosen on
teams drawn this way from these same rows. Figures are means over seeds, [lowest, highest].
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from shoal.evaluation.router import RoutedRow, route_rows, score_rows
from shoal.router import Router
from shoal.router.encoder import LayeredMiniLM
from shoal.router.example import Example, load_examples

SETS = ("clinc150", "banking77", "hwu64")
EXAMPLES = (0, 1, 2, 3, 5)
AGENTS = (2, 3, 5, 8, 12)
TEAMS, TESTED, STRANGERS = 3, 4, 10
"""Per set, size and number of examples; messages of each agent; messages of other intents."""
FIGURES = ("accuracy", "in_scope_rejected", "oos_recall", "ece")
Texts = Mapping[str, Sequence[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    encoder, intents = LayeredMiniLM(), options.data / "intents"
    sources = [
        tuple(grouped(load_examples(intents / name / f"{part}.jsonl.gz")) for part in ("train", "validation"))
        for name in SETS
    ]
    for count in EXAMPLES:
        scores = [
            score_rows(
                [row for train, test in sources for row in ask_teams(train, test, count, seed, encoder)]
            )
            for seed in range(options.seeds)
        ]
        values = {key: [getattr(score, key) or 0.0 for score in scores] for key in FIGURES}
        spread = [
            f"{key} {sum(found) / len(found):.3f} [{min(found):.3f}, {max(found):.3f}]"
            for key, found in values.items()
        ]
        print(f"{count} examples an agent: {', '.join(spread)}", flush=True)


def grouped(rows: Sequence[Example]) -> Texts:
    texts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.agent:
            texts[row.agent].append(row.text)
    return texts


def ask_teams(train: Texts, test: Texts, count: int, seed: int, encoder: LayeredMiniLM) -> list[RoutedRow]:
    """Rows of `TEAMS` teams of each size."""
    draw = random.Random(f"{seed} {count}")
    intents = sorted(set(train) & set(test))
    routed: list[RoutedRow] = []
    for size in AGENTS:
        for _ in range(TEAMS):
            team = draw.sample(intents, size)
            examples = [
                Example(text, intent) for intent in team for text in draw.sample(train[intent], count)
            ]
            jobs = {intent: f"Answer questions about {intent.replace('_', ' ')}." for intent in team}
            strangers = draw.sample(sorted(set(intents) - set(team)), STRANGERS)
            messages = [
                *(Example(text, intent) for intent in team for text in test[intent][:TESTED]),
                *(Example(draw.choice(test[intent]), None) for intent in strangers),
            ]
            routed += route_rows(Router.fit(examples, jobs=jobs, encoder=encoder), messages)[0]
    return routed


if __name__ == "__main__":
    main()
