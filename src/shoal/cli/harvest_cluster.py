"""`shoal harvest --cluster`: which tasks are in what was asked."""

from typing import TYPE_CHECKING

from shoal.cli.output import console, print_json, usd

if TYPE_CHECKING:
    from rich.console import Console

    from shoal.harvesting.cluster import Candidate, Clusters

__all__ = ["show_clusters"]

CLEAR = 0.25
"""Silhouette below which groups are hardly apart (Kaufman and Rousseeuw 1990)."""


def show_clusters(*, since: float, least: int, as_json: bool) -> None:
    """Group the requests in the ledger and say what could be made of each group."""
    from shoal.cli.runs import open_ledger
    from shoal.harvesting.cluster import cluster_requests
    from shoal.harvesting.harvest_file import TEAM
    from shoal.router.encoder import LayeredMiniLM

    asked = open_ledger().requests(since=since, but=TEAM)
    found = cluster_requests(asked, LayeredMiniLM(), least=least)
    if as_json:
        print_json(found)
        return
    out = console()
    for candidate in found.candidates:
        _show(out, candidate)
    out.print(
        f"{found.requests} requests, {found.texts} different: {len(found.candidates)} tasks;"
        f" {found.scattered} requests in none",
        style="bold",
        soft_wrap=True,
    )
    for note in _notes(found):
        out.print(f"  {note}", style="yellow", soft_wrap=True)


def _show(out: "Console", found: "Candidate") -> None:
    who = ", ".join(f"{agent or 'nobody'} {times}" for agent, times in found.agents.items())
    out.print(f"{found.name} · {found.requests} requests · {_advice(found)}", style="bold", markup=False)
    out.print(f'  e.g. "{" ".join(found.example.split())[:100]}"', markup=False, soft_wrap=True)
    out.print(
        f"  words: {', '.join(found.terms)} · went to: {who} · {found.unanswered} unanswered"
        f" · found again {found.stability:.2f}",
        style="dim",
        markup=False,
        soft_wrap=True,
    )
    if found.large_calls:
        out.print(
            f"  a small model that is always right saves {found.large_calls} calls of the large one,"
            f" {usd(found.large_usd)}",
            style="dim",
            soft_wrap=True,
        )


def _advice(found: "Candidate") -> str:
    most = max(found.agents, key=lambda agent: found.agents[agent])
    return {
        "create": "nobody does this: an agent is worth creating",
        "specialise": f"worth specialising {most} for: shoal harvest {most}",
        "served": f"{most or 'nobody'} does this",
    }[found.advice]


def _notes(found: "Clusters") -> list[str]:
    notes: list[str] = []
    if found.grouped < found.texts:
        notes.append(f"of the different texts, {found.grouped} were looked at, taken at random")
    if found.unstable:
        notes.append(f"{found.unstable} more groups are not found again in parts of the log: not named")
    if found.silhouette < CLEAR:
        notes.append(f"the groups are hardly apart (silhouette {found.silhouette:.2f}): look at them twice")
    return notes
