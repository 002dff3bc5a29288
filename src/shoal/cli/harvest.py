"""`shoal harvest`: rows to learn from out of the ledger, agreed to by a person and scrubbed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shoal.cli.harvest_cluster import show_clusters
from shoal.cli.harvest_label import Labelling, open_large, show_taught
from shoal.cli.output import AsJson, console, print_json, run_async

if TYPE_CHECKING:
    from shoal.agents import Agent
    from shoal.graphs import Large
    from shoal.harvesting.harvest import Harvest, Source
    from shoal.harvesting.harvest_file import Agreement, HarvestFile
    from shoal.harvesting.scrub import Spotter
    from shoal.project import Project
    from shoal.runtime import LocalRuntime

__all__ = ["harvest"]

SPOTTER = "pii-spotter"
"""The agent that finds names and addresses, where the project has one."""
SHOWN = 5
"""Contradictions printed; --json has all."""


Whose = Annotated[str | None, typer.Argument(help="Whose answers.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where the rows go; a file that is there is kept.")]
Take = Annotated[str, typer.Option("--from", help="all, or some of: corrected,large,labelled,accepted.")]
Since = Annotated[str | None, typer.Option(metavar="DATE", help="From this day on, e.g. 2026-11-01.")]
Sure = Annotated[float, typer.Option(min=0, max=1, help="Of the agent's own accepted answers, at least.")]
Consent = Annotated[str | None, typer.Option(metavar="WHO", help="Who agrees that the rows are written.")]
Keep = Annotated[list[str] | None, typer.Option(metavar="VALUE", help="Not to be scrubbed; repeatable.")]
Label = Annotated[
    Path | None, typer.Option(metavar="TEXTS", help="Have the large model answer these first, one a line.")
]
Vary = Annotated[int, typer.Option(min=0, max=20, help="With --label: other ways to ask, a text.")]
Samples = Annotated[int, typer.Option(min=0, max=20, help="With --label: more answers: do they agree?")]
Reasons = Annotated[bool, typer.Option("--reasons", help="With --label: why, as a second thing to learn.")]
Cluster = Annotated[bool, typer.Option("--cluster", help="Instead: group what was asked into tasks.")]
Least = Annotated[int, typer.Option("--min", min=2, help="With --cluster: requests a task has at least.")]


def harvest(  # noqa: PLR0913 (options of a command)
    agent: Whose = None,
    *,
    out: Out = Path("rows.jsonl"),
    take: Take = "all",
    since: Since = None,
    min_confidence: Sure = 0.9,
    consent: Consent = None,
    keep: Keep = None,
    label: Label = None,
    vary: Vary = 0,
    samples: Samples = 0,
    reasons: Reasons = False,
    cluster: Cluster = False,
    least: Least = 20,
    as_json: AsJson = False,
) -> None:
    """Write rows to learn from: what was corrected, what the large model answered, what was kept.

    The ledger is read; added to it is who agreed, and what the large model was asked. With --cluster nothing
    is written.
    """
    from shoal.project import open_project

    project = open_project()
    if cluster:
        show_clusters(since=_day(since), least=least, as_json=as_json)
        return
    if agent is None:
        raise typer.BadParameter("whose answers? or: --cluster", param_hint="AGENT")
    wanted = _Wanted(
        project=project,
        agent=project.agent(agent),
        sources=_sources(take),
        since=_day(since),
        min_confidence=min_confidence,
        out=out,
        who=consent,
        keep=tuple(keep or ()),
        labelling=_labelling(label, vary=vary, samples=samples, reasons=reasons),
        as_json=as_json,
    )
    found, written = run_async(wanted.harvest())
    if as_json:
        print_json({"file": written, **_plain(found)})
    else:
        _show(found, written)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One harvest, as the command line asks for it."""

    project: "Project"
    agent: "Agent[Any]"
    sources: "Sequence[Source]"
    since: float
    min_confidence: float
    out: Path
    who: str | None
    keep: tuple[str, ...]
    labelling: Labelling | None
    as_json: bool

    async def harvest(self) -> "tuple[Harvest, HarvestFile]":
        from shoal.harvesting.harvest_file import agree, check_any, check_free
        from shoal.runtime import LocalRuntime

        check_free(self.out)
        runtime = LocalRuntime(self.project.settings)
        try:
            found = self._collect(runtime)
            what = (
                f"up to {len(found.rows)} answers of {self.agent.name} in the ledger are written, scrubbed,"
                f" to {self.out} and used to train a model"
            )
            large = None
            if self.labelling is None:
                check_any(found.rows, self.agent.name, found)
            else:
                large = await open_large(self.project.settings, runtime)
                what = f"{self.labelling.told(large)}; its answers, and {what}"
            ledger = runtime.ledger
            agreement = await agree(ledger, agent=self.agent.name, who=self.who, what=what)
            try:
                if large is not None:
                    await self._label(runtime, large, agreement)
                    found = self._collect(runtime)
                written = await self._write(runtime, found, agreement)
            except BaseException as error:
                await ledger.end_run(agreement.run_id, "failed", error=error)
                raise
            said = f"{written.rows} rows written to {written.path}, sha256 {written.sha256}"
            await ledger.end_run(agreement.run_id, "done", answer=said)
            return found, written
        finally:
            await runtime.aclose()

    def _collect(self, runtime: "LocalRuntime") -> "Harvest":
        from shoal.harvesting.harvest import collect, harvest_thread

        name = self.agent.name
        return collect(
            runtime.ledger.steps(agent=name, thread_id=harvest_thread(name)),
            self.agent,
            sources=self.sources,
            min_confidence=self.min_confidence,
            since=self.since,
            elsewhere=_elsewhere(self.project, name),
        )

    async def _label(self, runtime: "LocalRuntime", large: "Large", agreement: "Agreement") -> None:
        assert self.labelling is not None, "there is something to label"
        taught = await self.labelling.ask(
            self.agent,
            large,
            runtime,
            run_id=agreement.run_id,
            spotter=_spotter(self.project, runtime, but=self.agent.name),
            keep=self.keep,
        )
        show_taught(taught, stderr=self.as_json)

    async def _write(
        self, runtime: "LocalRuntime", found: "Harvest", agreement: "Agreement"
    ) -> "HarvestFile":
        from shoal.harvesting.harvest_file import scrub_rows, write_harvest

        spotter = _spotter(self.project, runtime, but=self.agent.name)
        rows, scrubbed = await scrub_rows(found, spotter=spotter, spotter_name=SPOTTER, keep=self.keep)
        return write_harvest(
            self.out,
            rows,
            agent=self.agent.name,
            harvest=found,
            scrubbed=scrubbed,
            agreement=agreement,
        )


def _spotter(project: "Project", runtime: "LocalRuntime", *, but: str) -> "Spotter | None":
    agent = next((agent for agent in project.agents if agent.name == SPOTTER), None)
    if agent is None or but == SPOTTER:
        return None

    async def spot(text: str) -> list[tuple[str, str]]:
        output = (await agent.run(text, runtime=runtime)).unwrap()
        spans = agent.adapter.dump_python(output, mode="json")["spans"]
        return [(span["type"], span["text"]) for span in spans]

    return spot


def _labelling(file: Path | None, *, vary: int, samples: int, reasons: bool) -> Labelling | None:
    if file is None:
        if vary or samples or reasons:
            raise typer.BadParameter("there is nothing to ask about", param_hint="--label")
        return None
    from shoal.harvesting.distil import Lessons

    return Labelling(file=file, lessons=Lessons(variations=vary, samples=samples, reasons=reasons))


def _elsewhere(project: "Project", agent: str) -> frozenset[str]:
    """Texts that the router's examples give to others only."""
    from shoal.router.example import load_examples, text_key

    if not project.examples.is_file():
        return frozenset()
    examples = load_examples(project.examples)
    own = {text_key(each.text) for each in examples if each.agent == agent}
    return frozenset(text_key(each.text) for each in examples if each.agent != agent) - own


def _sources(take: str) -> "Sequence[Source]":
    from shoal.core.errors import UnknownName
    from shoal.harvesting.harvest import SOURCES

    if take == "all":
        return SOURCES
    names = [name.strip() for name in take.split(",")]
    for name in names:
        if name not in SOURCES:
            raise UnknownName("source of answers", name, (*SOURCES, "all"))
    return [source for source in SOURCES if source in names]


def _day(since: str | None) -> float:
    from shoal.core.errors import InputError

    if since is None:
        return 0.0
    try:
        return dt.datetime.fromisoformat(since).astimezone().timestamp()
    except ValueError as error:
        raise InputError(f'"{since}" is not a day', why=str(error), mend="--since 2026-11-01") from error


def _plain(found: "Harvest") -> dict[str, Any]:
    return {
        "answers": found.answers,
        "left_out": dict(found.left_out),
        "duplicates": found.duplicates,
        "overruled": found.overruled,
        "contradictions": found.contradictions,
        "notes": found.notes,
    }


def _show(found: "Harvest", written: "HarvestFile") -> None:
    out = console()
    sources = ", ".join(f"{times} {source}" for source, times in found.sources.items())
    out.print(f"{written.path}: {written.rows} rows ({sources})", style="bold", markup=False, soft_wrap=True)
    for reason, times in found.left_out.most_common():
        out.print(f"  {times} left out: {reason}", markup=False, soft_wrap=True)
    if found.duplicates or found.overruled:
        out.print(f"  {found.duplicates} said the same again, {found.overruled} were overruled")
    for each in found.contradictions[:SHOWN]:
        runs = ", ".join(run[:8] for run, _ in each.answers)
        text = " ".join(each.input.split())[:60]
        out.print(f'  contradiction in runs {runs}: "{text}"', style="yellow", markup=False, soft_wrap=True)
        out.print(f"  mend: shoal correct {each.answers[0][0][:8]} ANSWER", markup=False)
    scrubbed = ", ".join(f"{times} {kind}" for kind, times in written.scrubbed.replaced.most_common())
    out.print(f"  scrubbed: {scrubbed or 'nothing was found'}", markup=False, soft_wrap=True)
    if written.scrubbed.spotter is None:
        out.print(
            f"  nobody looked for names and addresses: there is no agent {SPOTTER}",
            style="yellow",
            soft_wrap=True,
        )
    for note in found.notes:
        out.print(f"  {note}", style="yellow", markup=False, soft_wrap=True)
