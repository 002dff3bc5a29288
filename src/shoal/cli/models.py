"""`shoal models`: what is there, and how to get the rest: list, pull, push, rm. The others: `memory`."""

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from shoal.cli import memory
from shoal.cli.output import AsJson, console, print_json, run_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from shoal.core.model_name import ModelName
    from shoal.runtime import LocalRuntime

__all__ = ["app"]

T = TypeVar("T")
app = typer.Typer(help="List, fetch, push and remove models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="engine:model or an alias, e.g. embedded:smollm2:135m.")]


app.command("ps")(memory.ps)
app.command("warm")(memory.warm)
app.command("plan")(memory.plan)


@app.command("list")
def list_models(*, as_json: AsJson = False) -> None:
    """Models that can be asked now, by engine."""
    from rich.table import Table

    rows = run_async(_with_runtime(_rows))
    if as_json:
        print_json(rows)
        return
    table = Table("model", "size", "where", box=None, pad_edge=False)
    for row in rows:
        size = f"{row['size_bytes'] / 1e6:.0f} MB" if row["size_bytes"] else "-"
        table.add_row(row["model"], size, row["where"])
    console().print(table if rows else "no models yet: shoal models pull embedded:smollm2:135m")


@app.command()
def pull(name: Name, *, as_json: AsJson = False) -> None:
    """Fetch a model, with progress. Does nothing when it is there."""

    async def work(runtime: "LocalRuntime") -> "ModelName":
        from shoal.cli.provisioning import find_missing, provide

        resolved = await runtime.resolve(name)
        if resolved.engine == "ollama" and await find_missing(runtime, resolved) is not None:
            await _pull_ollama(runtime, resolved.model, console(stderr=True))
        else:
            await provide(runtime, resolved, console(stderr=True))
        return resolved

    _report(run_async(_with_runtime(work)), "is there", as_json=as_json)


@app.command()
def push(
    name: Name,
    *,
    known_as: Annotated[
        str | None, typer.Option("--as", help="What Ollama shall call it; else its own name, or its file's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put packaged weights, or a GGUF file of your own, into Ollama; see that its system prompt is read."""

    async def work(runtime: "LocalRuntime") -> "ModelName":
        from shoal.cli.provisioning import fetch_packaged
        from shoal.cli.provisioning import push as push_into_ollama
        from shoal.core.model_name import ModelName
        from shoal.models.ollama_push import name_for

        resolved, out = await runtime.resolve(name), console(stderr=True)
        if resolved.model.endswith(".gguf"):
            path = runtime.weights(resolved)
            model = known_as or name_for(path)
        else:
            path = await fetch_packaged(runtime, resolved.model, out)
            model = known_as or resolved.model
        await push_into_ollama(runtime, model, path, out)
        return ModelName("ollama", model)

    _report(run_async(_with_runtime(work)), "is in Ollama", as_json=as_json)


@app.command()
def rm(name: Name, *, as_json: AsJson = False) -> None:
    """Remove a model from Ollama, or packaged weights from the cache folder."""

    async def work(runtime: "LocalRuntime") -> "ModelName":
        from shoal.core.errors import ConfigError

        resolved = await runtime.resolve(name)
        match resolved.engine:
            case "ollama":
                await runtime.ollama_library.remove(resolved.model)
            case "embedded" if resolved.model.endswith(".gguf"):
                raise ConfigError(
                    f"{resolved} is a file of your own",
                    why="only weights that Shoal fetched into its cache folder are removed",
                    mend=f"rm {runtime.weights(resolved)}",
                )
            case "embedded":
                runtime.weights(resolved).unlink()
            case "openai":
                raise ConfigError(f"{resolved} is not on this machine", mend="shoal models list")
        return resolved

    _report(run_async(_with_runtime(work)), "is gone", as_json=as_json)


async def _rows(runtime: "LocalRuntime") -> list[dict[str, Any]]:
    from shoal.models.weights import PACKAGED, find_weights

    folder = runtime.settings.weights_path
    rows: list[dict[str, Any]] = []
    for packaged in PACKAGED.values():
        path = find_weights(packaged.name, folder)
        where = str(path) if path else f"not fetched: shoal models pull embedded:{packaged.name}"
        rows.append({"model": f"embedded:{packaged.name}", "size_bytes": packaged.size_bytes, "where": where})
    if await runtime.ollama_version() is not None:
        url = runtime.settings.ollama_url
        rows += [
            {"model": f"ollama:{model.name}", "size_bytes": model.size_bytes, "where": url}
            for model in await runtime.ollama_library.list()
        ]
    return rows


async def _pull_ollama(runtime: "LocalRuntime", model: str, out: "Console") -> None:
    from shoal.cli.progress import download_bar

    with download_bar(f"pulling {model}", out) as show:
        async for progress in runtime.ollama_library.pull(model):
            show(progress.done_bytes, progress.total_bytes)


async def _with_runtime(work: "Callable[[LocalRuntime], Awaitable[T]]") -> T:
    from shoal.project import open_project
    from shoal.runtime import LocalRuntime

    runtime = LocalRuntime(open_project().settings)
    try:
        return await work(runtime)
    finally:
        await runtime.aclose()


def _report(name: "ModelName", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"model": str(name)})
    else:
        typer.echo(f"{name} {what}")
