"""`shoal harvest --label`: what the large model is asked, for a small one to learn from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shoal.cli.output import console

if TYPE_CHECKING:
    from shoal.agents import Agent
    from shoal.config import Settings
    from shoal.graphs import Large
    from shoal.harvesting.distil import Lessons, Taught
    from shoal.harvesting.scrub import Spotter
    from shoal.runtime import LocalRuntime

__all__ = ["Labelling", "open_large", "read_texts", "show_taught"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What is to be asked."""

    file: Path
    lessons: "Lessons"

    def told(self, large: "Large") -> str:
        """For the person who agrees."""
        return f"the texts of {self.file}, scrubbed, are sent to {large.name} to be labelled"

    async def ask(
        self,
        agent: "Agent[Any]",
        large: "Large",
        runtime: "LocalRuntime",
        *,
        run_id: str,
        spotter: "Spotter | None",
        keep: tuple[str, ...],
    ) -> "Taught":
        """Scrub the texts, and have them labelled; but for those that a person did not let go there.

        Raises:
            ShoalError: what `Teacher.teach` raises; and what stopped it, where nothing was labelled at all.
        """
        from shoal.harvesting.distil import Teacher
        from shoal.harvesting.harvest import denied_texts, harvest_thread
        from shoal.harvesting.harvest_file import scrub_texts

        steps = runtime.ledger.steps(agent=agent.name, thread_id=harvest_thread(agent.name))
        denied = denied_texts(steps)
        # A scrubbed text is no longer the one that was denied.
        raw = read_texts(self.file)
        texts, lost = await scrub_texts(raw, denied=denied, spotter=spotter, keep=keep)
        metered = large.metered(runtime, seconds=agent.timeout_s, benefit=None)
        teacher = Teacher(agent, large.model, metered, judge=large.judge, run_id=run_id)
        taught = await teacher.teach(texts, self.lessons, earlier=steps, denied=denied)
        taught.left_out.update(lost)
        if taught.stopped is not None and not taught.labelled + taught.known:
            raise taught.stopped
        return taught


def read_texts(path: Path) -> list[str]:
    """One text a line; of JSONL lines with an "input" or "text", that.

    Raises:
        InputError: the file cannot be read, or holds no text.
    """
    import json

    from shoal.core.errors import InputError

    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read", why=str(error), mend="one text a line, UTF-8") from error
    texts: list[str] = []
    for line in lines:
        try:
            value: object = json.loads(line)
        except ValueError:
            value = None
        fields = cast("dict[str, object]", value) if isinstance(value, dict) else {"text": line}
        said = fields.get("input", fields.get("text"))
        if isinstance(said, str) and said.strip():
            texts.append(said.strip())
    if not texts:
        raise InputError(f"{path} holds no text", mend="one text a line")
    return texts


async def open_large(settings: "Settings", runtime: "LocalRuntime") -> "Large":
    """The large model of the project, if it may be asked.

    Raises:
        ConfigError: there is none, it is on another machine and nothing may go there, or a budget that
            cannot be counted.
    """
    from shoal.core.errors import ConfigError
    from shoal.graphs import Large
    from shoal.router.escalation import LargePolicy
    from shoal.router.escalation.metered_model import check_countable

    name = settings.large
    if name is None:
        raise ConfigError("there is no large model to ask", mend='in shoal.toml: large = "engine:model"')
    forecast = await runtime.forecast(name)
    if forecast.remote and settings.escalation.consent == "never":
        raise ConfigError(
            f"{name} is on another machine, and nothing may go there",
            why='consent = "never" in [escalation]',
            mend='consent = "ask", or a large model on this machine',
        )
    check_countable(settings.escalation.budget, forecast)
    return Large(
        model=name,
        judge=LargePolicy(),
        budget=settings.escalation.budget,
        forecast=forecast,
        asks_consent=forecast.remote and settings.escalation.consent == "ask",
    )


def show_taught(taught: "Taught", *, stderr: bool) -> None:
    """What came of it; on stderr where stdout is for JSON."""
    out = console(stderr=stderr)
    varied = f", {taught.varied} of them variations" if taught.varied else ""
    known = f"; {taught.known} were labelled before" if taught.known else ""
    out.print(f"{taught.labelled} texts labelled{varied}{known}", style="bold")
    for reason, times in taught.left_out.most_common():
        out.print(f"  {times} left out: {reason}", markup=False, soft_wrap=True)
    if taught.stopped is not None:
        out.print(f"  stopped: {taught.stopped.what}", style="yellow", markup=False, soft_wrap=True)
        out.print("  mend: the same command goes on where it stopped", markup=False)
