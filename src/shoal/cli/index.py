"""`shoal index`: add documents, look passages up, verify."""

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli.output import AsJson, console, print_json, run_async
from shoal.core.errors import ConfigError

if TYPE_CHECKING:
    from shoal.core.passage import Passage
    from shoal.retrieval.index import KnowledgeIndex
    from shoal.retrieval.writer import Progress

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder that indexes are kept in.", show_default=False)
]


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Folders of .md and .txt files, or single files.")],
    *,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Throw the index away first.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Index what is new or changed in a folder, forget what is gone from it."""
    reports: dict[str, object] = {}
    for index, path in zip(_open(paths, data), paths, strict=True):
        with _progress(path) as progress:
            report = index.writer.rebuild(progress) if rebuild else index.writer.add(progress)
        reports[str(path)] = report
        if not as_json:
            typer.echo(
                f"{path}: {report.chunks} chunks; {len(report.added)} added, {len(report.changed)} changed, "
                f"{len(report.removed)} removed, {len(report.unchanged)} unchanged"
            )
    if as_json:
        print_json(reports)


@app.command()
def query(
    text: Annotated[str, typer.Argument(help="What to look up.")],
    *,
    folders: Annotated[
        list[Path] | None, typer.Option("--in", help="Folder to search; can be repeated.", show_default="all")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Passages at most.")] = 5,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages that answer a question best, with their source and similarity."""
    indexes = _open(folders or _indexed(data), data)
    found = [p for index in indexes for p in run_async(index.search(text, limit=limit))]
    if len(indexes) > 1:
        # Each index orders by more than the cosine, but across indexes only the cosine compares.
        found = sorted(found, key=_cosine, reverse=True)[:limit]
    if as_json:
        print_json(found)
        return
    out = console()
    for passage in found:
        heading = f"  {passage.heading}" if passage.heading else ""
        where = f"{passage.source}:{passage.start}-{passage.end}{heading}"
        out.print(f"{_cosine(passage):.2f}  {where}", style="bold", markup=False, soft_wrap=True)
        out.print(passage.text, markup=False, soft_wrap=True, end="\n\n")


@app.command()
def verify(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders to check.", show_default="all")
    ] = None,
    *,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Check that the index holds what was written and fits the files; exit code 1 when it does not."""
    paths = folders or _indexed(data)
    found = {str(path): index.writer.verify() for index, path in zip(_open(paths, data), paths, strict=True)}
    if as_json:
        print_json(found)
    for path, damages in found.items() if not as_json else ():
        for damage in damages:
            typer.echo(f"{damage.source}: {damage.kind}: {damage.detail}")
        mend = f"mend: shoal index add {shlex.quote(path)}" if damages else "in order"
        typer.echo(f"{path}: {mend}")
    if any(found.values()):
        raise typer.Exit(1)


def _open(paths: list[Path], data: Path | None) -> "list[KnowledgeIndex]":
    from shoal.retrieval.embedder import MiniLM
    from shoal.retrieval.index import KnowledgeIndex

    embedder = MiniLM()
    return [KnowledgeIndex(path, _index_folder(data), embedder) for path in paths]


def _indexed(data: Path | None) -> list[Path]:
    from shoal.retrieval.index import indexed_roots

    folder = _index_folder(data)
    roots = indexed_roots(folder)
    if not roots:
        raise ConfigError(
            f"there is no index in {folder}", why="nothing was indexed yet", mend="shoal index add FOLDER"
        )
    return roots


def _index_folder(data: Path | None) -> Path:
    from shoal.config import find_root, load_settings

    return data or load_settings(find_root()).data_path / "index"


@contextmanager
def _progress(path: Path) -> "Generator[Progress]":
    """A bar on stderr, where that is a terminal."""
    from rich.progress import Progress as Bar

    with Bar(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"indexing {path}", total=None)

        def show(_source: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def _cosine(passage: "Passage") -> float:
    return passage.score or 0.0
