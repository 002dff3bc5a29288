"""`shoal replay`: what recorded runs would have come to under another promise, price or budget."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.output import AsJson, console, print_json, run_async, usd
from shoal.cli.runs import open_ledger

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.evaluation.replay import Replay, Tally
    from shoal.project import Project
    from shoal.router.escalation import Budget, Policy
    from shoal.runtime import LocalRuntime
    from shoal.tracing.forecast import Forecast

__all__ = ["replay"]

SHOWN = 20
"""Changed answers printed; --json has all."""


def replay(  # noqa: PLR0913 (options of a command)
    runs: Annotated[
        list[str] | None, typer.Argument(help="Ids of runs; default: the latest.", show_default=False)
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Of the latest runs, at most this many.")] = 1000,
    max_error: Annotated[
        float | None, typer.Option(help="Bearable share of wrong answers among those kept.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least confidence where there is no certificate.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(metavar="large=IN/OUT", help="USD per million tokens read and written.")
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LIMIT", help="A limit, such as usd_per_day=2; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide recorded runs again under other terms, without asking a model."""
    from shoal.evaluation.replay import replay as decide_again
    from shoal.project import open_project

    project = open_project()
    ledger = open_ledger()
    ids = runs or [row.id for row in ledger.runs(limit=limit)]
    policy, forecast = run_async(_terms(project, max_error=max_error, threshold=threshold, price=price))
    found = decide_again(
        [ledger.run(one) for one in ids],
        policy,
        budget=_budget(budget) if budget else project.settings.escalation.budget,
        forecast=forecast,
    )
    if as_json:
        print_json(found)
    else:
        _show(console(), found, has_chosen=max_error is not None)


async def _terms(
    project: "Project", *, max_error: float | None, threshold: float | None, price: str | None
) -> "tuple[Policy, Forecast | None]":
    """Who judges, and what the large model costs."""
    from shoal.runtime import LocalRuntime

    runtime = LocalRuntime(project.settings)
    try:
        forecast = await _forecast(runtime, price)
        return _policy(project, runtime, max_error=max_error, threshold=threshold), forecast
    finally:
        await runtime.aclose()


def _policy(
    project: "Project", runtime: "LocalRuntime", *, max_error: float | None, threshold: float | None
) -> "Policy":
    """With certificates for the error asked for, from the same labelled attempts."""
    from shoal.evaluation.calibration import load_attempts, load_certificates
    from shoal.router.escalation import Policy, calibrate

    wanted = project.settings.escalation
    wanted = replace(
        wanted,
        max_error=wanted.max_error if max_error is None else max_error,
        threshold=wanted.threshold if threshold is None else threshold,
    )
    folder = project.settings.data_path / "certificates"
    certificates = load_certificates(folder, [agent.name for agent in project.agents])
    if max_error is not None:
        for agent, certificate in certificates.items():
            if attempts := load_attempts(folder, agent):
                certificates[agent] = calibrate(
                    agent,
                    attempts,
                    max_error=max_error,
                    level=wanted.confidence,
                    digests=certificate.digests,
                    reader=certificate.reader,
                )
    return Policy(wanted, certificates=certificates, digests=project.team().digests(runtime, certificates))


async def _forecast(runtime: "LocalRuntime", price: str | None) -> "Forecast | None":
    """Of the large model, or of one at that price; None = there is none that may be asked."""
    from shoal.core.errors import ConfigError

    settings = runtime.settings
    found = await runtime.forecast(settings.large) if settings.large else None
    if price is not None:
        found = _priced(price, found.model if found else None)
    if found is None or not found.remote or settings.escalation.consent != "never":
        return found
    if price is None:
        return None
    raise ConfigError(
        f"{found.model} would be on another machine, and nothing may go there",
        why='consent = "never" in [escalation]',
        mend="SHOAL_ESCALATION__CONSENT=allow shoal replay ...",
    )


def _priced(price: str, name: str | None) -> "Forecast":
    """Of a model on another machine, at the price `large=IN/OUT`."""
    from shoal.core.errors import InputError
    from shoal.tracing.cost import CostModel, Price
    from shoal.tracing.forecast import Forecast

    model, _, amounts = price.partition("=")
    try:
        read, written = (float(amount) for amount in amounts.split("/"))
    except ValueError as error:
        raise InputError(f"{price} is not a price", mend="--price large=1.25/10") from error
    name = name or model
    costs = CostModel(prices={name: Price(input_usd=read, output_usd=written, source="--price")})
    return Forecast(model=name, remote=True, costs=costs, watts=None)


def _budget(limits: list[str]) -> "Budget":
    from shoal.core.errors import InputError, UnknownName
    from shoal.router.escalation import Budget

    known = list(Budget.__dataclass_fields__)
    values: dict[str, Any] = {}
    for limit in limits:
        name, _, amount = limit.partition("=")
        if name not in known:
            raise UnknownName("limit", name, known)
        try:
            values[name] = float(amount)
        except ValueError as error:
            raise InputError(f"{limit} is not a limit", mend=f"--budget {name}=2") from error
    return Budget(**values)


def _show(out: "Console", found: "Replay", *, has_chosen: bool) -> None:
    from rich.table import Table

    columns = ("", "kept local", "escalated", "flagged", "to be asked", "large model")
    table = Table(*columns, box=None, pad_edge=False)
    for name, tally in (("recorded", found.before), ("replayed", found.after)):
        counts = (tally.kept, tally.escalated, tally.flagged, tally.asked)
        table.add_row(name, *map(str, counts), _cost(tally))
    out.print(table)
    out.print(f"\n{len(found.changes)} of {found.answers} answers change", style="bold")
    for change in found.changes[:SHOWN]:
        text = " ".join(change.input.split())[:60]
        out.print(
            f"{change.run_id[:8]} {change.agent}: {change.before} -> {change.after}"
            f" · {usd(change.expected_usd)} · {text}",
            markup=False,
            soft_wrap=True,
        )
        why = (
            change.verdict.reason
            if change.verdict
            else "The agent would be asked; what it says, nobody knows."
        )
        out.print(f"  {why}", style="dim", markup=False, soft_wrap=True)
    if len(found.changes) > SHOWN:
        out.print(f"... and {len(found.changes) - SHOWN} more: --json", style="dim")
    out.print("costs are predicted: the same tokens at the price of the large model", style="dim")
    if has_chosen:
        out.print(
            "a look, not a promise: choose the error first, then shoal calibrate DATA --max-error ...",
            style="dim",
        )


def _cost(tally: "Tally") -> str:
    lacking = f" and {tally.unpriced} unknown" if tally.unpriced else ""
    return usd(tally.large_usd) + lacking
