"""One attempt: look up, ask, read the answer, let the judge say what follows, repair at most twice.

Everything an agent does goes through `attempt_events`; `run` and `stream` only fold or pass on its events.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from shoal.agents.attempt import AgentEvent, Attempt, OutputT, Repairing
from shoal.agents.probe import ask_agreement, ask_self_check
from shoal.agents.prompt import build_repair, build_request
from shoal.agents.signals import read_signals
from shoal.agents.spec import AgentSpec
from shoal.agents.tool_use import ToolUse
from shoal.agents.tooling import parse_step
from shoal.agents.validation import failed_checks, parse_output
from shoal.agents.work import Draft, Task, Work
from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, Message, complete
from shoal.core.decision import Judged, Signals
from shoal.core.errors import (
    ConfigError,
    ContextOverflow,
    InputError,
    ModelError,
    OutputInvalid,
    ShoalError,
    StorageError,
    StreamBroken,
)
from shoal.core.passage import Passage
from shoal.core.port import ChatModel
from shoal.models.function import FunctionModel
from shoal.tracing.scope import scope
from shoal.tracing.spans import RetrievalSpan

__all__ = ["attempt_events", "check_text"]

MAX_REPAIRS = 2
PASSAGES = 4
"""Passages looked up for one text."""
MAX_INPUT_CHARS = 1_000_000


async def attempt_events(task: Task[OutputT]) -> AsyncGenerator[AgentEvent[OutputT]]:
    """Deltas as they come, `Repairing` where they are void, and one `Attempt` at the end.

    Failures of the model and of its answer end up in the attempt. What is raised is the caller's to mend.

    Raises:
        InputError: the text is empty, binary or too long to be meant.
        ConfigError: the model, an alias or the knowledge folder does not exist, or may not be used; or a
            check of the agent raised.
        StorageError: index or ledger cannot be used.
    """
    check_text(task.text)
    started = time.monotonic()
    work = Work(
        task=task,
        model=await task.runtime.model(_model_of(task.agent), task.agent.specialist),
        deadline=started + task.agent.timeout_s,
        tools=ToolUse(task.agent.tools, task.runtime.ledger, task.place),
    )
    while True:
        draft = Draft[OutputT]()
        async with aclosing(_draft(work, draft)) as deltas:
            async for delta in deltas:
                yield delta
        draft.signals = _with_origin(replace(draft.signals, repairs=work.repairs), task)
        verdict = task.judge.judge(
            task.agent.name,
            draft.signals,
            failure=draft.failure,
            digest=draft.response.made_by if draft.response else None,
            repairs_left=0 if isinstance(task.agent.model, FunctionModel) else MAX_REPAIRS - work.repairs,
            # A larger model would start anew, and do a second time what tools have already done.
            large=task.large and not work.tools.acted,
        )
        if verdict.action != "repair" or work.repairs == MAX_REPAIRS or work.request is None:
            break
        yield Repairing(verdict=verdict)
        problem = draft.failure.why or draft.failure.what if draft.failure else verdict.reason
        work.request = build_repair(task.agent, work.request, draft.text, problem)
        work.drafts += (Judged(signals=draft.signals, verdict=verdict),)
        work.repairs += 1
    yield Attempt(
        agent=task.agent.name,
        model=work.model.name,
        text=draft.text,
        output=draft.output,
        signals=draft.signals,
        verdict=verdict,
        failure=draft.failure,
        response=draft.response,
        drafts=work.drafts,
        passages=work.request.passages if work.request else (),
        latency_s=time.monotonic() - started,
    )


def check_text(text: str) -> None:
    """Refuse what no agent can work on.

    Raises:
        InputError: empty, binary, or longer than a million characters.
    """
    if not text.strip():
        raise InputError("the request is empty", mend='shoal run "your request"')
    if "\0" in text:
        raise InputError(
            "the request is not text",
            why="it holds NUL bytes, so it is a binary file or wrongly decoded",
            mend="convert it to UTF-8 text first",
        )
    if len(text) > MAX_INPUT_CHARS:
        raise InputError(
            f"the request has {len(text):,} characters",
            why=f"more than {MAX_INPUT_CHARS:,} cannot be meant as one request; nothing is cut silently",
            mend="put documents into a knowledge folder and ask about them: shoal index add FOLDER",
        )


async def _draft(work: Work[OutputT], draft: Draft[OutputT]) -> AsyncGenerator[ChatDelta]:
    """Ask once and fill the draft. A failure of the model or its answer is kept there, not raised."""
    try:
        if work.request is None:
            work.request = build_request(work.task.agent, work.task.text, await _look_up(work))
        async with aclosing(_answer(work)) as events:
            async for event in events:
                if isinstance(event, ChatResponse):
                    draft.response = event
                    draft.signals = _seen(work, event)
                else:
                    draft.said.append(event.text)
                    yield event
        _read(work, draft)
        draft.signals = await _probe(work, draft)
    except (ConfigError, StorageError):
        raise
    except ShoalError as error:
        draft.failure = error


async def _probe(work: Work[Any], draft: Draft[Any]) -> Signals:
    """The signals, with those that the task pays further calls for. What cannot be measured stays unknown."""
    probe, agent, signals, request = work.task.probe, work.task.agent, draft.signals, work.request
    if (
        draft.output is None
        or signals.checks_failed
        or request is None
        or isinstance(agent.model, FunctionModel)
    ):
        return signals

    async def ask(request: ChatRequest, purpose: str) -> ChatResponse:
        with scope(purpose=purpose, attempt=work.repairs + 1, deadline=work.deadline):
            events = work.model.stream(request)
        async with work.in_time():
            return await complete(events)

    try:
        if probe.self_check:
            signals = replace(signals, self_check=await ask_self_check(request, draft.text, ask))
        if probe.samples:
            same = await ask_agreement(agent, request, draft.output, probe.samples, ask)
            signals = replace(signals, agreement=same)
    except ModelError:
        return signals
    return signals


async def _look_up(work: Work[Any]) -> tuple[Passage, ...]:
    task = work.task
    if task.agent.knowledge is None:
        return task.context
    async with work.in_time():
        retriever = await task.runtime.retriever(task.agent.knowledge)
        with task.runtime.spans.open(RetrievalSpan(collection=task.agent.knowledge)):
            return task.context + await retriever.search(task.text, limit=PASSAGES)


async def _answer(work: Work[Any]) -> AsyncGenerator[ChatDelta | ChatResponse]:
    """One answer; with tools, as many calls as it takes to get there, within bounds.

    Tool calls and their results stay in the work's request, so that a repair does not make them again.
    """
    if not work.task.agent.tools:
        async with aclosing(_ask(work)) as events:
            async for event in events:
                yield event
        return
    while True:
        response = None
        async with aclosing(_ask(work)) as events:
            async for event in events:
                response = event if isinstance(event, ChatResponse) else None
        assert response is not None, "_ask ends in a response"
        try:
            step = parse_step(work.task.agent.name, response.text)
        except OutputInvalid:
            yield ChatDelta(text=response.text)
            yield response
            raise
        if isinstance(step, str):
            yield ChatDelta(text=step)
            yield replace(response, text=step)
            return
        name, arguments = step
        async with work.in_time():
            result = await work.tools.call(name, arguments)
        work.add(Message("assistant", response.text), Message("user", f"Result of {name}: {result}"))


async def _ask(work: Work[Any]) -> AsyncGenerator[ChatEvent]:
    """One answer. While the prompt does not fit it is asked with fewer passages, if the agent allows that."""
    while True:
        is_silent = True
        try:
            async with aclosing(_call(work)) as events:
                async for event in events:
                    is_silent = False
                    yield event
        except ContextOverflow:
            if not is_silent or not work.drop_passage():
                raise
        else:
            return


async def _call(work: Work[Any]) -> AsyncGenerator[ChatEvent]:
    """One call of the model, as long as the attempt's time lasts; its last event is the response."""
    assert work.request is not None
    purpose = "repair" if work.repairs else work.task.purpose
    with scope(purpose=purpose, attempt=work.repairs + 1, deadline=work.deadline):
        events = work.model.stream(work.request)
    async with aclosing(events):
        while True:
            try:
                async with work.in_time():
                    event = await anext(events)
            except StopAsyncIteration:
                raise StreamBroken(f"{work.model.name} ended without a response") from None
            yield event
            if isinstance(event, ChatResponse):
                return


def _read(work: Work[OutputT], draft: Draft[OutputT]) -> None:
    """Turn the response into output and signals, leaving in the draft what is known when one fails."""
    agent, response = work.task.agent, draft.response
    assert response is not None
    is_json = agent.output is not str
    if draft.signals.empty:
        return
    try:
        draft.output = parse_output(agent, response.text, work.task.text)
    except OutputInvalid:
        draft.signals = replace(draft.signals, schema_valid=False)
        raise
    failed = failed_checks(agent, work.task.text, draft.output)
    draft.signals = replace(
        draft.signals,
        schema_valid=True if is_json else None,
        checks_failed=failed,
        checks_passed=len(agent.checks) - len(failed),
    )


def _seen(work: Work[Any], response: ChatResponse) -> Signals:
    assert work.request is not None
    agent, passages = work.task.agent, work.request.passages
    is_forced = agent.output is not str and agent.specialist is None
    return read_signals(response, is_forced=is_forced, passages=passages, repairs=work.repairs)


def _with_origin(signals: Signals, task: Task[Any]) -> Signals:
    """With what was known before the call."""
    decision, signals = task.decision, replace(signals, difficulty=task.difficulty)
    if decision is None or decision.confidence is None:
        return signals  # nobody looked whether the agent fits
    return replace(signals, router_confidence=decision.confidence, router_margin=decision.margin)


def _model_of(agent: AgentSpec[Any]) -> str | ChatModel:
    assert isinstance(agent.model, str | ChatModel), "AgentSpec turns functions into models"
    return agent.model
