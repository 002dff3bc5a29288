"""`shoal init`: start a project with the four folders, by copying the shipped one."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.output import AsJson, print_json

__all__ = ["init"]

FOLDERS = ("agents", "router", "tools", "graphs")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".shoal")


def init(
    folder: Annotated[Path, typer.Argument(help="Where; made if need be.")] = Path(),
    *,
    as_json: AsJson = False,
) -> None:
    """Start a project: agents/ router/ tools/ graphs/ shoal.toml."""
    from shoal.core.errors import ConfigError, StorageError
    from shoal.project import starter_root

    source = starter_root()
    there = [name for name in (*FOLDERS, "shoal.toml") if (folder / name).exists()]
    if there:
        raise ConfigError(
            f"{folder.resolve()} is not empty",
            why=f"it already has {', '.join(there)}, and nothing is overwritten",
            mend="shoal init another-folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            shutil.copytree(source / name, folder / name, ignore=IGNORED)
        shutil.copy2(source / "shoal.toml", folder / "shoal.toml")
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("/.shoal/\n__pycache__/\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written", why=str(error), mend="shoal init another-folder"
        ) from error
    made = [*FOLDERS, "shoal.toml"]
    if as_json:
        print_json({"project": str(folder.resolve()), "made": made})
        return
    typer.echo(f"{folder.resolve()} is a Shoal project: {', '.join(made)}")
    typer.echo(f'next: cd {folder} && shoal doctor && shoal run "What does a new card cost?"')
