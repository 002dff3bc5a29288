"""`shoal graph`: the team, or one of the project's own graphs, as Mermaid text or a PNG."""

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.output import AsJson, print_json

__all__ = ["graph"]


def graph(
    name: Annotated[str | None, typer.Argument(help="A file in graphs/; default: the team.")] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Write a picture: FILE.png or FILE.mmd.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw the team's graph (Mermaid on stdout, or a file)."""
    from shoal.core.errors import ConfigError, StorageError
    from shoal.graphs.picture import render_png
    from shoal.project import open_project

    project = open_project()
    drawn = (project.graph(name) if name else project.team().graph).get_graph()
    if out is None:
        if as_json:
            edges = [
                {"from": edge.source, "to": edge.target, "conditional": bool(edge.conditional)}
                for edge in drawn.edges
            ]
            print_json({"nodes": list(drawn.nodes), "edges": edges})
        else:
            typer.echo(drawn.draw_mermaid())
        return
    match out.suffix:
        case ".png":
            picture = render_png(drawn)
        case ".mmd" | ".md":
            picture = drawn.draw_mermaid().encode()
        case _:
            raise ConfigError(f"{out} is neither a .png nor a .mmd file", mend="shoal graph --out team.png")
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written", why=str(error), mend="shoal graph --out another-folder/team.png"
        ) from error
    if as_json:
        print_json({"written": str(out)})
    else:
        typer.echo(f"wrote {out}")
