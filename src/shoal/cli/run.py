"""`shoal run`: answer one request with the team of the current project."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shoal.cli import consent
from shoal.cli.judgement import forgone
from shoal.cli.output import AsJson, console, print_json, run_async, seconds, status_style, tokens, usd

if TYPE_CHECKING:
    from shoal.graphs import Result

__all__ = ["run"]


def run(  # noqa: PLR0913 (options of a command)
    request: Annotated[
        str | None, typer.Argument(help="The request; - or nothing reads standard input.", show_default=False)
    ] = None,
    *,
    agent: Annotated[str | None, typer.Option(help="Ask this agent, without routing.")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, embedded, ollama or openai.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Finish an interrupted or waiting run.")
    ] = None,
    allow: Annotated[
        bool | None, typer.Option("--allow/--deny", help="With --resume: may what waits for consent be sent?")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Show the answer while it is made; with --json, an event a line.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Answer one request."""
    if stream and resume:
        raise typer.BadParameter("a resumed run cannot be streamed", param_hint="--stream")
    if allow is not None and resume is None:
        raise typer.BadParameter("they answer what a waiting run asks", param_hint="--allow, --deny")
    text = "" if resume else _text(request)
    if stream:
        result = run_async(_stream(text, agent=agent, engine=engine, as_json=as_json))
    else:
        ask = consent.can_ask() and not as_json
        result = run_async(_answer(text, agent=agent, engine=engine, resume=resume, allow=allow, ask=ask))
    if not as_json:
        _show(result, answer=not stream or console().is_terminal)
    elif not stream:
        print_json(result)


async def _answer(
    text: str, *, agent: str | None, engine: str | None, resume: str | None, allow: bool | None, ask: bool
) -> "Result":
    from shoal.project import open_project

    async with open_project(engine=engine).team(only=agent) as team:
        result = await (team.resume(resume, consent=allow) if resume else team.run(text))
        if ask:
            run_id = result.run_id
            return await consent.decide(result, lambda decided: team.resume(run_id, consent=decided))
        return result


async def _stream(text: str, *, agent: str | None, engine: str | None, as_json: bool) -> "Result":
    from shoal.cli import live
    from shoal.project import open_project

    async with open_project(engine=engine).team(only=agent) as team:
        if as_json:
            return await live.print_events(team.stream(text, mode="live"))
        if console().is_terminal:
            return await live.follow(team.stream(text, mode="live"))
        return await live.print_accepted(team.stream(text))


def _text(request: str | None) -> str:
    if request not in (None, "-"):
        return str(request)
    from shoal.core.errors import InputError

    if sys.stdin.isatty():
        raise InputError("there is no request", mend='shoal run "your request"')
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            "the request is not text", why=str(error), mend="convert it to UTF-8 first"
        ) from error


def _show(result: "Result", *, answer: bool) -> None:
    """`answer`: print that too; not when it was printed piece by piece."""
    from rich.markup import escape

    out = console()
    if answer:
        out.print(result.answer, markup=False, soft_wrap=True)
    out.print()
    for step in result.steps:
        status = "escalated" if step.escalated and step.status == "accepted" else step.status
        sure = "" if step.confidence is None else f" · confidence {step.confidence:.2f}"
        named = "" if step.calibrated or not sure else " (uncertified)"
        used = tokens(step.usage.input_tokens, step.usage.output_tokens)
        out.print(
            f"[{status_style(status)}]{status}[/] {step.agent or 'nobody'} · {escape(step.model or '-')}"
            f"{sure}{named} · {seconds(step.latency_s)} · {used} tokens · {usd(step.cost_usd)}",
            soft_wrap=True,
        )
        out.print(f"  {step.why}", markup=False, style="dim", soft_wrap=True)
        if step.mend:
            out.print(f"  mend: {step.mend}", markup=False, soft_wrap=True)
    if result.status == "waiting":
        consent.show_waiting(result)
    if result.totals.refused:
        out.print(forgone(result.totals.refused, result.totals.benefit_forgone), style="yellow")
    out.print(f"run {result.run_id[:8]} · shoal trace {result.run_id[:8]}", style="dim")
