"""`shoal init`: start a project with the four folders, by copying the shipped one."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.output import AsJson, print_json

__all__ = ["init"]

FOLDERS = ("agents", "router", "tools", "graphs", "specialists")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".shoal", ".lock")


def init(
    folder: Annotated[Path, typer.Argument(help="Where; made if need be.")] = Path(),
    *,
    as_json: AsJson = False,
) -> None:
    """Start a project: agents/ router/ tools/ graphs/ specialists/ shoal.toml."""
    from shoal.core.errors import ConfigError, StorageError
    from shoal.project import starter_root

    source = starter_root()
    folders = [name for name in FOLDERS if (source / name).is_dir()]
    there = [name for name in (*FOLDERS, "shoal.toml") if (folder / name).exists()]
    if there:
        raise ConfigError(
            f"{folder.resolve()} is not empty",
            why=f"it already has {', '.join(there)}, and nothing is overwritten",
            mend="shoal init another-folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in folders:
            shutil.copytree(source / name, folder / name, ignore=IGNORED)
        shutil.copy2(source / "shoal.toml", folder / "shoal.toml")
        ignored = folder / ".gitignore"
        if not ignored.exists():
            ignored.write_text("/.shoal/\n/specialists/.lock\n__pycache__/\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written", why=str(error), mend="shoal init another-folder"
        ) from error
    made = [*folders, "shoal.toml"]
    if as_json:
        print_json({"project": str(folder.resolve()), "made": made})
        return
    typer.echo(f"{folder.resolve()} is a Shoal project: {', '.join(made)}")
    typer.echo(f'next: cd {folder} && shoal doctor && shoal run "What does a new card cost?"')
