"""Asks the large model for what a small one is to learn: answers, other ways to ask, reasons.

The same ports, budget, ledger and privacy as for any other call of it. Every answer is in the ledger as soon
as it is there, so that a harvest that was cut off goes on where it stopped, and pays for nothing twice.

Reasons are for "distilling step by step" (Hsieh et al. 2023): they are learnt as a second task with a prompt
of their own, and never asked for when the small model serves. They are asked for once the answer is known: so
they fit any answer, and cannot contradict it.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, cast

from shoal.agents.agent import Agent
from shoal.agents.attempt import Attempt, Judge
from shoal.agents.loop import attempt_events
from shoal.agents.runtime import Runtime
from shoal.agents.work import Task
from shoal.core.chat import ChatRequest, Message, Sampling, complete
from shoal.core.errors import EngineDown, ModelError, ModelMissing, OverBudget, Overloaded, ShoalError
from shoal.core.port import ChatModel
from shoal.harvesting.harvest import FORBIDDEN, origin
from shoal.router.example import text_key
from shoal.tracing.record import StepRow, new_id
from shoal.tracing.scope import scope

__all__ = ["CleanText", "Lessons", "Taught", "Teacher"]

AT_ONCE = 4
WARM = 0.7
"""Temperature of samples and variations: at 0 they would all be the same."""
REASON_TOKENS = 160
IN_THE_WAY = (OverBudget, ModelMissing, EngineDown, Overloaded)
"""What says nothing about the text that was asked about, and would meet the next ones too."""
Said = tuple[str | None, str]
"""What came out, None = nothing usable; and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanText:
    """A text to be labelled."""

    text: str
    """Without personal data: what is sent."""
    raw: str
    """What it was, or was made of, before: what a person may have forbidden. Stays here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What is asked for besides an answer."""

    samples: int = 0
    """Further answers a text, to see how far they agree."""
    reasons: bool = False
    variations: int = 0
    """Other ways to ask, written for every text and labelled like it."""


@dataclass(slots=True, kw_only=True)
class Taught:
    labelled: int = 0
    varied: int = 0
    """Texts that were written by the large model."""
    known: int = 0
    """Texts that an earlier harvest had labelled."""
    left_out: Counter[str] = field(default_factory=Counter[str])
    """Reasons."""
    stopped: ShoalError | None = None
    """What ended it early: the budget, or a model that is not there. What was labelled until then is kept."""


class Teacher:
    """The large model in an agent's place: the agent's own prompt, look-up, checks and repairs."""

    def __init__(
        self,
        agent: Agent[Any],
        model: str | ChatModel,
        runtime: Runtime,
        *,
        judge: Judge,
        run_id: str,
    ) -> None:
        """`runtime` keeps the budget; `run_id` is the harvest's run, which a person agreed to."""
        self._agent = agent.asking(model)
        self._model = model
        self._runtime = runtime
        self._judge = judge
        self._run_id = run_id

    async def teach(
        self,
        texts: Sequence[CleanText],
        lessons: Lessons,
        *,
        earlier: Iterable[StepRow] = (),
        denied: Collection[str] = (),
    ) -> Taught:
        """Label texts, a few at a time. What comes out is in the ledger, for `collect`.

        Args:
            texts: what is sent of them is without personal data.
            lessons: what else to ask for.
            earlier: steps of earlier harvests of this agent: what they have is not asked for again.
            denied: `text_key`s of texts that a person did not let go to the large model.

        Raises:
            ConfigError: the model does not exist, or may not be used.
            StorageError: the ledger cannot be written.
        """
        taught = Taught()
        steps = list(earlier)
        done = {text_key(step.input) for step in steps if step.node == "label" and step.action == "accept"}
        allowed = [each for each in texts if text_key(each.raw) not in denied]
        taught.left_out[FORBIDDEN] = len(texts) - len(allowed)
        unique = list({text_key(each.text): each for each in reversed(allowed)}.values())[::-1]
        taught.left_out["twice in the file"] = len(allowed) - len(unique)
        if lessons.variations:
            written = await self._variations(unique, lessons.variations, steps, taught)
            new = [each for each in written if text_key(each.text) not in denied]
            taught.varied = len(new)
            taught.left_out[FORBIDDEN] += len(written) - len(new)
            unique += new
        fresh = [each for each in unique if text_key(each.text) not in done]
        taught.known = len(unique) - len(fresh)
        await self._all(fresh, lambda place, text: self._label(place, text, lessons, taught), taught)
        taught.left_out = +taught.left_out  # reasons that nothing was left out for
        return taught

    async def _variations(
        self, texts: Sequence[CleanText], count: int, earlier: Sequence[StepRow], taught: Taught
    ) -> list[CleanText]:
        """New texts only; what an earlier harvest wrote is taken from there."""
        written = {
            text_key(step.input): step.output for step in earlier if step.node == "vary" and step.output
        }

        async def vary(place: str, text: str) -> None:
            said = await self._step("vary", place, text, lambda: self._ask_variations(text, count))
            if said is None:
                taught.left_out["its variations could not be read"] += 1
            else:
                written[text_key(text)] = said

        await self._all([each for each in texts if text_key(each.text) not in written], vary, taught)
        there = {text_key(each.text) for each in texts}
        new: dict[str, CleanText] = {}
        for each in texts:
            for other in cast("list[str]", json.loads(written.get(text_key(each.text)) or "[]")):
                if other.strip() and text_key(other) not in there:
                    new.setdefault(text_key(other), CleanText(text=other.strip(), raw=each.raw))
        return list(new.values())

    async def _all(self, texts: Sequence[CleanText], work: Callable[[str, str], Any], taught: Taught) -> None:
        """Work on every text, until something is in the way that is in the way of all.

        `work` is told a text's place: its number, and by which origin `collect` knows what it was made of.
        """
        places = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, each: CleanText) -> None:
            async with places:
                if taught.stopped is not None:
                    taught.left_out["not asked for, or in part: it stopped before"] += 1
                    return
                try:
                    await work(f"{number}/{origin(text_key(each.raw))}", each.text)
                except IN_THE_WAY as error:
                    taught.stopped = taught.stopped or error
                    taught.left_out["not asked for, or in part: it stopped before"] += 1
                except ModelError as error:
                    taught.left_out[f"not asked for, or in part: {type(error).__name__}"] += 1

        try:
            async with asyncio.TaskGroup() as group:
                for number, each in enumerate(texts, start=1):
                    _ = group.create_task(one(number, each))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _label(self, place: str, text: str, lessons: Lessons, taught: Taught) -> None:
        answer = await self._step("label", place, text, lambda: self._answer(text, self._agent, "label"))
        if answer is None:
            taught.left_out["the large model gave no usable answer"] += 1
            return
        taught.labelled += 1
        for seed in range(1, lessons.samples + 1):
            warm = replace(self._agent, cache=False, sampling=Sampling(temperature=WARM, seed=seed))
            _ = await self._step("sample", place, text, lambda warm=warm: self._answer(text, warm, "sample"))
        if lessons.reasons:
            _ = await self._step("rationale", place, text, lambda: self._ask_reason(text, answer))

    async def _step(self, node: str, place: str, text: str, ask: Callable[[], Any]) -> str | None:
        """One question with its row in the ledger."""
        began = time.perf_counter()
        step = StepRow(
            id=new_id(),
            run_id=self._run_id,
            node=node,
            started_at=time.time(),
            subtask_id=f"v{place}" if node == "vary" else place,
            input=text,
        )
        ledger = self._runtime.ledger
        await ledger.begin_step(step)
        error: BaseException | None = None
        said, why = None, ""
        try:
            with scope(run_id=self._run_id, step_id=step.id, agent=self._agent.name, purpose=node):
                said, why = await ask()
        except BaseException as caught:
            error = caught
            raise
        finally:
            latency_s = time.perf_counter() - began
            row = replace(
                step,
                action="abstain" if said is None else "accept",
                reason=why,
                output=said,
                ended_at=step.started_at + latency_s,
                latency_s=latency_s,
                error_class=None if error is None else type(error).__name__,
                error=None if error is None else str(error),
            )
            await asyncio.shield(ledger.end_step(row))
        return said

    async def _answer(self, text: str, agent: Agent[Any], purpose: str) -> Said:
        task = Task(agent=agent, text=text, runtime=self._runtime, judge=self._judge, purpose=purpose)
        async with aclosing(attempt_events(task)) as events:
            async for event in events:
                if isinstance(event, Attempt):
                    failure = event.failure
                    if isinstance(failure, IN_THE_WAY):
                        raise failure
                    good = event.accepted and event.output is not None
                    return (event.text if good else None), event.verdict.reason
        return None, "the attempt ended without an answer"

    async def _ask_reason(self, text: str, answer: str) -> Said:
        system = (
            f"A program's job: {self._agent.job} You are given a text and its right answer. In at most three"
            " short sentences, say which words of the text lead to the answer, and add nothing else."
        )
        request = _request(system, f"Text:\n{text}\n\nAnswer:\n{answer}", max_tokens=REASON_TOKENS)
        response = await complete((await self._runtime.model(self._model)).stream(request))
        if response.finish_reason != "stop" or not response.text.strip():
            return None, f"no whole reason: {response.finish_reason}"
        return response.text.strip(), "a reason"

    async def _ask_variations(self, text: str, count: int) -> Said:
        system = (
            f"A program's job: {self._agent.job} You are given a text that people send to it. Write {count}"
            " texts that other people could send instead: the same kind of wish in the same language, with"
            " other words, another length, other names, numbers and dates."
        )
        texts = {"type": "array", "items": {"type": "string"}, "minItems": count, "maxItems": count}
        schema = {
            "type": "object",
            "properties": {"texts": texts},
            "required": ["texts"],
            "additionalProperties": False,
        }
        request = replace(
            _request(system, text, max_tokens=64 + count * (64 + len(text))),
            schema=schema,
            sampling=Sampling(temperature=WARM, seed=1),
        )
        response = await complete((await self._runtime.model(self._model)).stream(request))
        try:
            said = json.loads(response.text)["texts"]
        except (ValueError, KeyError, TypeError):
            return None, "no JSON with texts"
        if not isinstance(said, list):
            return None, "no list of texts"
        found = [each for each in cast("list[object]", said) if isinstance(each, str)]
        return json.dumps(found, ensure_ascii=False), f"{len(found)} variations"


def _request(system: str, text: str, *, max_tokens: int) -> ChatRequest:
    return ChatRequest(
        messages=(Message("system", system), Message("user", text)), max_tokens=max_tokens, input=text
    )
