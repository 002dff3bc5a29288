"""`shoal eval`: learn from some rows, measure on others, print what came out."""

import typer

from shoal.cli import eval_agent, eval_cascade, eval_router, eval_split

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
app.command("agent")(eval_agent.agent)
app.command("cascade")(eval_cascade.cascade)
app.command("router")(eval_router.router)
app.command("split")(eval_split.split)
