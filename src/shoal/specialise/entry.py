"""The two ways in: rows that are still to be learnt from, and an adapter that was tuned on them before."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from shoal.agents import Agent
from shoal.agents.row import Row
from shoal.core.errors import ConfigError
from shoal.core.file_digest import hash_file
from shoal.core.model_name import parse_model_name
from shoal.project import Project, open_project
from shoal.runtime import LocalRuntime
from shoal.specialise.course import Course
from shoal.specialise.report import Progress, Provenance, SpecialiseReport
from shoal.training.stage_store import StageStore
from shoal.training.tune_settings import Tuned, TuneReport, TuneRow, TuneSettings

__all__ = ["BASE", "BUDGET_MINUTES", "Tune", "admit", "specialise"]

BASE = "embedded:smollm2:135m"
BUDGET_MINUTES = 30.0
Tune = Callable[[Sequence[TuneRow], Path, Path, TuneSettings, TuneReport | None], Tuned]
"""What tunes: see `shoal.training.tune_lora.tune`."""


async def specialise(  # noqa: PLR0913 (each is a choice of the user's)
    agent: Agent[Any],
    rows: Sequence[Row],
    *,
    base: str = BASE,
    budget_minutes: float | None = BUDGET_MINUTES,
    held_out: Sequence[Row] = (),
    tuning: TuneSettings | None = None,
    system: str | None = None,
    provenance: Provenance | None = None,
    project: Project | None = None,
    progress: Progress | None = None,
    tune: Tune | None = None,
    fewer_layers: int = 0,
    variants: int = 0,
) -> SpecialiseReport:
    """Train a specialist for an agent; it goes live if it passes its gate.

    What each stage leaves lies in `<data folder>/training/<agent>/`: the same call after a crash goes on
    from there, inside the tuning at the last checkpoint. With other rows it begins anew.

    Args:
        agent: who is to learn. Its output type says what an answer is.
        rows: what it should answer.
        base: `embedded:...`, a model with weights on this machine.
        budget_minutes: wall clock of the tuning; None = as long as it takes. Evaluation comes on top.
        held_out: rows to evaluate on. Empty: some of `rows`, by template; see `shoal.curation.splitting`.
        tuning: the whole recipe, budget and seed included.
        system: what the specialist is told before the text; None = the agent's job.
        provenance: for the card.
        project: whose specialist it becomes; None = that of the current folder.
        progress: told how far it is.
        tune: None = `shoal.training.tune_lora.tune`.
        fewer_layers: how many of its least useful layers the base loses first; see `Course.prune`.
        variants: of each row, learnt from beside it; see `shoal.curation.vary`. A pass is over all of them.

    Raises:
        ConfigError: no extra `train`; a base that is not `embedded:`; an agent with tools; too long a row.
        InputError: too few rows are left after curation, or all want the same answer.
        ModelMissing: the base was never fetched.
        StorageError: another training of this agent runs; the data folder cannot be written, or is full.
    """
    if tune is None:
        from shoal.training.extra import check_extra

        check_extra()
        from shoal.training.tune_lora import tune
    async with _course(
        agent,
        base=base,
        system=system,
        provenance=provenance,
        project=project,
        progress=progress,
        tuning=tuning or TuneSettings(budget_minutes=budget_minutes),
    ) as whole:
        begun = replace(whole, fewer_layers=fewer_layers, variants=variants)
        used = await asyncio.to_thread(begun.prepare, rows, held_out)
        course = await asyncio.to_thread(begun.prune, used)
        return await course.admit(used, await course.tune(used, tune))


async def admit(  # noqa: PLR0913 (see above)
    agent: Agent[Any],
    tuned: Tuned,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    *,
    base: str = BASE,
    system: str | None = None,
    provenance: Provenance | None = None,
    project: Project | None = None,
    progress: Progress | None = None,
) -> SpecialiseReport:
    """Evaluate, gate and register an adapter that was tuned elsewhere, on exactly these rows and no others.

    Arguments and errors: see `specialise`. Nobody can check that none of `held_out` was learnt from.

    Raises:
        ConfigError: see `specialise`; or it was tuned on other weights than this base's.
        ShoalError: see `specialise`.
    """
    async with _course(
        agent,
        base=base,
        system=system,
        provenance=provenance,
        project=project,
        progress=progress,
        tuning=tuned.settings,
    ) as course:
        if tuned.base_digest != course.base_digest:
            raise ConfigError(
                f"{tuned.adapter} was tuned on other weights than {base}",
                why=f"{tuned.base_digest} is not {course.base_digest}",
                mend="name the base it was tuned on with base=...",
            )
        return await course.admit(course.take(rows, held_out), tuned)


@asynccontextmanager
async def _course(  # noqa: PLR0913
    agent: Agent[Any],
    *,
    base: str,
    system: str | None,
    provenance: Provenance | None,
    project: Project | None,
    progress: Progress | None,
    tuning: TuneSettings,
) -> AsyncGenerator[Course]:
    """The work on one agent, alone in its folder."""
    _check(agent, base)
    project = project or open_project()
    runtime = LocalRuntime(project.settings)
    try:
        weights = runtime.weights(parse_model_name(base))
        store = StageStore(project.settings.data_path / "training" / agent.name)
        with store.alone(agent.name):
            yield Course(
                agent=agent,
                base=base,
                weights=weights,
                base_digest=await asyncio.to_thread(hash_file, weights),
                system=system or agent.job,
                tuning=tuning,
                provenance=provenance or Provenance(),
                project=project,
                runtime=runtime,
                store=store,
                tell=progress or (lambda _: None),
            )
    finally:
        await runtime.aclose()


def _check(agent: Agent[Any], base: str) -> None:
    if parse_model_name(base).engine != "embedded":
        raise ConfigError(
            f"{base} cannot be tuned",
            why="a specialist is trained on weights on this machine",
            mend=f"--base {BASE}",
        )
    for what, used in (("tools", bool(agent.tools)), ("knowledge", agent.knowledge is not None)):
        if used:
            raise ConfigError(
                f"{agent.name} cannot be specialised: it has {what}",
                why="rows do not say what it would have been given",
                mend="train an agent without, with the passages written into the inputs",
            )
