"""`shoal eval split`: fit on rows of one intent, split and route requests that hold several."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.figures import print_figures, print_notes
from shoal.cli.output import AsJson, console, print_json

__all__ = ["split"]


def split(
    *,
    train: Annotated[
        list[Path], typer.Option(help="JSONL[.gz] of {text, label}, one intent a row; can be repeated.")
    ],
    test: Annotated[Path, typer.Option(help="JSONL[.gz] of {text, labels}.")],
    seed: Annotated[int, typer.Option(help="Same seed, same router.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit a router on single requests, split and route requests that hold several."""
    from shoal.evaluation.router import check_labels
    from shoal.evaluation.split import evaluate_split, load_requests, single_intents
    from shoal.router import Router
    from shoal.router.example import load_examples

    examples = [example for path in train for example in load_examples(path)]
    single = single_intents(examples)
    requests = load_requests(test)
    known = sorted({example.agent for example in single if example.agent is not None})
    foreign = check_labels([label for request in requests for label in request.labels], known)
    with console(stderr=True).status(f"fitting on {len(single)} rows, splitting {len(requests)}"):
        fitted = Router.fit(single, seed=seed)
        result = asdict(evaluate_split(fitted, requests))
    if as_json:
        print_json(result)
    else:
        print_figures(result)
    if len(single) < len(examples):
        print_notes([f"{len(examples) - len(single)} rows of several labels were not learnt from"])
    if foreign:
        print_notes([f"labels without a training row, counted as missed: {', '.join(foreign)}"])
    print_notes(fitted.report.lines())
