"""Quality against size of one specialist: the base and one twice its size without tuning, bare and with
examples in the prompt; base + adapter; merged and quantised; pruned and healed.

    python benchmarks/specialists.py --data rows.jsonl --held-out heldout.jsonl --system "..." \
        --adapter specialists/command-reader/2/adapter.gguf --prune 4 8 --minutes 5

Every file answers the same held-out rows greedily, without a grammar, through the embedded engine. Pruned
bases are tuned on the rows of --data for --minutes each (0 = not at all), which needs the extra `train`.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from shoal.agents.row import Row, load_rows
from shoal.core.chat import ChatRequest, Message, complete
from shoal.evaluation.chart import Chart, Series, draw_chart
from shoal.evaluation.extraction import RowScore, Scores, score_row, summarise
from shoal.models.embedded import EmbeddedModel, EngineSettings
from shoal.models.weights import fetch_weights
from shoal.training.gguf_merge import merge_adapter
from shoal.training.prune import prune
from shoal.training.tune_lora import TuneRow, TuneSettings, tune

MAX_TOKENS = 400
SEED = 0
EXAMPLES = 10
"""Rows shown to a model that was not tuned, drawn from those to learn from."""
BASE, LARGER = "smollm2:135m", "gemma3:270m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    kind: str
    """Drawn alike."""
    name: str
    base: Path
    adapter: Path | None = None
    examples: Sequence[Row] = ()
    """Shown as turns before the text."""

    @property
    def megabytes(self) -> float:
        files = [self.base, *([self.adapter] if self.adapter else [])]
        return sum(file.stat().st_size for file in files) / 1e6


async def answer(variant: Variant, system: str, rows: Sequence[Row]) -> list[str]:
    adapters = {"adapter": variant.adapter} if variant.adapter else {}
    model = EmbeddedModel(variant.name, EngineSettings(gguf=variant.base, num_ctx=2048, adapters=adapters))
    places = asyncio.Semaphore(2)
    shown = [turn for row in variant.examples for turn in turns(row)]

    async def ask(row: Row) -> str:
        request = ChatRequest(
            messages=(Message("system", system), *shown, Message("user", row.input)),
            max_tokens=MAX_TOKENS,
            adapter=next(iter(adapters), None),
        )
        async with places:
            return (await complete(model.stream(request))).text

    try:
        return await asyncio.gather(*map(ask, rows))
    finally:
        await model.aclose()


def turns(row: Row) -> tuple[Message, Message]:
    return Message("user", row.input), Message("assistant", written(row.expected))


def written(expected: object) -> str:
    return expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)


def score(texts: Sequence[str], rows: Sequence[Row]) -> Scores:
    def one(text: str, row: Row) -> RowScore:
        try:
            return score_row(json.loads(text), row.expected, valid=True)
        except ValueError:
            return score_row(None, row.expected, valid=False)

    return summarise([one(text, row) for text, row in zip(texts, rows, strict=True)])


def build_variants(given: argparse.Namespace, base: Path, larger: Path, folder: Path) -> list[Variant]:
    learnt_from = load_rows(given.data)
    some = random.Random(SEED).sample(learnt_from, EXAMPLES)
    variants = [
        Variant(kind="base + adapter", name="base + adapter", base=base, adapter=given.adapter),
        Variant(kind="not tuned", name="base alone", base=base),
        Variant(kind="not tuned", name="base, examples", base=base, examples=some),
        Variant(kind="not tuned", name="Gemma, examples", base=larger, examples=some),
    ]
    for kind in ("Q8_0", "Q4_1"):
        path = folder / f"merged-{kind}.gguf"
        merge_adapter(base, given.adapter, path, kind)
        variants.append(Variant(kind="merged", name=f"merged, {kind}", base=path))
    rows = [
        TuneRow(
            messages=(Message("system", given.system), Message("user", row.input)),
            answer=written(row.expected),
        )
        for row in learnt_from
    ]
    for layers in given.prune:
        path = folder / f"pruned-{layers}.gguf"
        dropped = prune(base, rows, layers, path).dropped
        print(f"# without {layers} layers: {dropped}", file=sys.stderr)
        adapter = heal(rows, path, given.minutes) if given.minutes else None
        variants.append(
            Variant(kind="pruned and healed", name=f"{layers} layers fewer", base=path, adapter=adapter)
        )
    return variants


def heal(rows: Sequence[TuneRow], base: Path, minutes: float) -> Path:
    settings = TuneSettings(budget_minutes=minutes, seed=SEED)
    return tune(rows, base, base.with_suffix(".work"), settings).adapter


def draw(found: Sequence[tuple[Variant, Scores]], path: Path) -> None:
    def series(kind: str) -> Series:
        chosen = [(variant, scores.field_f1) for variant, scores in found if variant.kind == kind]
        return Series(
            name=kind,
            points=[(variant.megabytes, f1.value) for variant, f1 in chosen],
            style="dots",
            band=[(f1.low, f1.high) for _, f1 in chosen],
        )

    chart = Chart(
        title="One specialist, by what lies on disk",
        across="megabytes",
        up="field F1 on held-out rows",
        series=[series(kind) for kind in dict.fromkeys(variant.kind for variant, _ in found)],
    )
    draw_chart(chart, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--system", required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--prune", type=int, nargs="*", default=[], help="numbers of layers")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    weights = platformdirs.user_cache_path("shoal") / "weights"
    base, larger = (asyncio.run(fetch_weights(name, folder=weights)) for name in (BASE, LARGER))
    rows = load_rows(given.held_out)[: given.rows]
    found: list[tuple[Variant, Scores]] = []
    with tempfile.TemporaryDirectory() as folder:
        reference: list[str] = []
        print(f"{'':18} {'MB':>6} {'exact':>6} {'field F1':>22} {'valid':>6} {'as adapter':>11}")
        for variant in build_variants(given, base, larger, Path(folder)):
            texts = asyncio.run(answer(variant, given.system, rows))
            if variant.adapter == given.adapter:
                reference = texts
            scores = score(texts, rows)
            found.append((variant, scores))
            same = sum(map(str.__eq__, texts, reference)) / len(rows) if reference else float("nan")
            f1, valid = scores.field_f1, scores.valid_output.value
            print(
                f"{variant.name:18} {variant.megabytes:6.1f} {scores.exact_match.value:6.3f} "
                f"{f1.value:7.3f} [{f1.low:.3f}, {f1.high:.3f}] {valid:6.3f} {same:11.3f}",
                flush=True,
            )
        if given.picture:
            draw(found, given.picture)


if __name__ == "__main__":
    main()
