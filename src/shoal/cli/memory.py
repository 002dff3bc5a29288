"""`shoal models ps`, `warm` and `plan`: what is in memory, and what would be."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.output import AsJson, console, print_json, run_async, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.runtime import LocalRuntime
    from shoal.serving.lane import Lane

__all__ = ["plan", "ps", "warm"]

Name = Annotated[str, typer.Argument(help="engine:model or an alias, e.g. ollama:gemma3:1b.")]


def ps(*, as_json: AsJson = False) -> None:
    """What Ollama has in memory now, and how much of it is on a GPU."""

    async def look() -> "list[dict[str, Any]]":
        runtime = _open()
        try:
            running = await runtime.ollama_memory.ps()
        finally:
            await runtime.aclose()
        return [
            {
                "model": f"ollama:{each.name}",
                "size_bytes": each.size_bytes,
                "gpu_bytes": each.vram_bytes,
                "num_ctx": each.num_ctx,
            }
            for each in running
        ]

    rows = run_async(look())
    if as_json:
        print_json(rows)
        return
    _print(rows, "nothing is in memory")


def warm(name: Name, *, as_json: AsJson = False) -> None:
    """Bring a model into Ollama's memory, so that the next call finds it there."""

    async def load() -> str:
        from shoal.core.chat import ChatRequest, Message, complete
        from shoal.core.errors import ConfigError

        runtime = _open()
        try:
            resolved = await runtime.resolve(name)
            if resolved.engine != "ollama":
                raise ConfigError(
                    f"{resolved} cannot be warmed from outside",
                    why="only Ollama keeps a model between programs",
                    mend="shoal models warm ollama:NAME",
                )
            model = await runtime.model(name)
            await complete(model.stream(ChatRequest(messages=(Message("user", "Hello"),), max_tokens=1)))
            return str(resolved)
        finally:
            await runtime.aclose()

    model = run_async(load())
    if as_json:
        print_json({"model": model})
    else:
        typer.echo(f"{model} is in memory")


def plan(*, as_json: AsJson = False) -> None:
    """Which of the project's models stay in memory, which take turns, and what a turn costs."""
    rows = run_async(_plan())
    if as_json:
        print_json(rows)
        return
    shown = [row | {"load": seconds(row["load_s"]), "call": seconds(row["task_s"])} for row in rows]
    columns = ("model", "size_bytes", "load", "call", "memory")
    _print([{name: row[name] for name in columns} for row in shown], "the project has no local models")
    for limit in {row["learnt_limit_bytes"] for row in rows} - {None}:
        size = _shown("limit_bytes", limit)
        typer.echo(
            f"no more than {size} fit together, as was seen; [serving] memory_gb in shoal.toml overrules it"
        )


async def _plan() -> "list[dict[str, Any]]":
    from shoal.cli.provisioning import models_of
    from shoal.project import open_project
    from shoal.runtime import LocalRuntime
    from shoal.serving.plan import plan_memory

    project = open_project()
    runtime = LocalRuntime(project.settings)
    try:
        for name in models_of(project):
            await runtime.model(name)
        lanes = [(name, await queue.identify()) for name, queue in runtime.queues.items()]
        rows: list[dict[str, Any]] = []
        for scheduler in runtime.schedulers.made:
            own = {
                name: lane for name, lane in lanes if lane.load.host == scheduler.name and not lane.is_pinned
            }
            found = plan_memory(
                {name: lane.costs.size_bytes for name, lane in own.items()}, scheduler.schedule.capacity_bytes
            )
            words = (("stays", found.stay), ("takes turns", found.take_turns), ("too large", found.too_large))
            learnt = {"learnt_limit_bytes": scheduler.capacity.learnt_bytes}
            rows += [_row(name, own[name], word) | learnt for word, names in words for name in names]
        return rows
    finally:
        await runtime.aclose()


def _row(name: str, lane: "Lane", memory: str) -> "dict[str, Any]":
    costs = lane.costs
    return {
        "model": name,
        "size_bytes": costs.size_bytes,
        "load_s": costs.load_s,
        "task_s": costs.task_s,
        "memory": memory,
    }


def _open() -> "LocalRuntime":
    from shoal.project import open_project
    from shoal.runtime import LocalRuntime

    return LocalRuntime(open_project().settings)


def _print(rows: "Sequence[dict[str, Any]]", nothing: str) -> None:
    from rich.table import Table

    if not rows:
        typer.echo(nothing)
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("-" if value is None else _shown(key, value) for key, value in row.items()))
    console().print(table)


def _shown(key: str, value: object) -> str:
    return f"{value / 1e6:.0f} MB" if key.endswith("_bytes") and isinstance(value, int) else str(value)
