"""One attempt: look up, ask, read the answer, let the judge say what follows, repair at most twice.

Everything an agent does goes through `attempt_events`; `run` and `stream` only fold or pass on its events.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Generic

from shoal.agents.attempt import AgentEvent, Attempt, Judge, OutputT, Repairing
from shoal.agents.prompt import build_messages, build_repair
from shoal.agents.runtime import Runtime
from shoal.agents.signals import read_signals
from shoal.agents.spec import AgentSpec
from shoal.agents.tooling import parse_step, tool_schema
from shoal.agents.validation import failed_checks, parse_output
from shoal.core.chat import ChatDelta, ChatEvent, ChatRequest, ChatResponse, Message
from shoal.core.decision import Decision, Signals
from shoal.core.errors import (
    ConfigError,
    DeadlineExceeded,
    InputError,
    OutputInvalid,
    ShoalError,
    StorageError,
)
from shoal.core.passage import Passage
from shoal.core.port import ChatModel
from shoal.tools import Toolset
from shoal.tracing.scope import scope
from shoal.tracing.spans import RetrievalSpan

__all__ = ["Task", "attempt_events"]

MAX_REPAIRS = 2
MAX_TOOL_CALLS = 6
PASSAGES = 4
"""Passages looked up for one text."""
MAX_INPUT_CHARS = 1_000_000
ALTERNATIVES = 2
"""Logprob alternatives asked for: enough for the margin between first and second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[OutputT]):
    """What one attempt is made of."""

    agent: AgentSpec[OutputT]
    text: str
    runtime: Runtime
    judge: Judge
    decision: Decision | None = None
    """How the text came to this agent; its confidence is one of the signals."""
    context: tuple[Passage, ...] = ()
    """Answers of earlier subtasks; quoted before what is looked up."""
    large: bool = False
    """A larger model could still be asked after this one."""
    purpose: str = "answer"
    """For the ledger: "answer", or "escalation" when the model is the large one."""


@dataclass(slots=True)
class _Draft(Generic[OutputT]):
    """What the loop knows after its last call."""

    response: ChatResponse | None = None
    output: OutputT | None = None
    signals: Signals = field(default_factory=Signals)
    failure: ShoalError | None = None

    @property
    def text(self) -> str:
        return self.response.text if self.response else ""


async def attempt_events(task: Task[OutputT]) -> AsyncGenerator[AgentEvent[OutputT]]:
    """Deltas as they come, `Repairing` where they are void, and one `Attempt` at the end.

    Failures of the model and of its answer end up in the attempt. What is raised is the caller's to mend.

    Raises:
        InputError: the text is empty, binary or too long to be meant.
        ConfigError: the model, an alias or the knowledge folder does not exist, or may not be used.
        StorageError: index or ledger cannot be used.
    """
    check_text(task.text)
    started = time.monotonic()
    model = await task.runtime.model(_model_of(task.agent))
    passages = await _look_up(task)
    request = _build_request(task, passages)
    repairs = 0
    while True:
        draft = _Draft[OutputT]()
        deltas = _draft(task, model, request, repairs, draft, started + task.agent.timeout_s)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta
        draft.signals = _with_routing(replace(draft.signals, repairs=repairs), task.decision)
        verdict = task.judge.judge(
            task.agent.name,
            draft.signals,
            failure=draft.failure,
            repairs_left=MAX_REPAIRS - repairs,
            large=task.large,
        )
        if verdict.action != "repair" or repairs == MAX_REPAIRS:
            break
        yield Repairing(reason=verdict.reason)
        problem = draft.failure.why or draft.failure.what if draft.failure else verdict.reason
        request = replace(request, messages=request.messages + build_repair(draft.text, problem))
        repairs += 1
    yield Attempt(
        agent=task.agent.name,
        model=model.name,
        text=draft.text,
        output=draft.output,
        signals=draft.signals,
        verdict=verdict,
        failure=draft.failure,
        response=draft.response,
        passages=passages,
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


async def _look_up(task: Task[Any]) -> tuple[Passage, ...]:
    if task.agent.knowledge is None:
        return task.context
    retriever = await task.runtime.retriever(task.agent.knowledge)
    with task.runtime.spans.open(RetrievalSpan(collection=task.agent.knowledge)):
        return task.context + await retriever.search(task.text, limit=PASSAGES)


def _build_request(task: Task[Any], passages: tuple[Passage, ...]) -> ChatRequest:
    agent = task.agent
    schema = tool_schema(agent.tools, agent.schema) if agent.tools else agent.schema
    return ChatRequest(
        messages=build_messages(agent, task.text, passages, schema),
        max_tokens=agent.max_tokens,
        sampling=agent.sampling,
        schema=schema,
        top_logprobs=ALTERNATIVES,
        input=task.text,
        passages=passages,
    )


async def _draft(
    task: Task[OutputT],
    model: ChatModel,
    request: ChatRequest,
    repairs: int,
    draft: _Draft[OutputT],
    deadline: float,
) -> AsyncGenerator[ChatDelta]:
    """Ask once and fill the draft. A failure of the model or its answer is kept there, not raised."""
    try:
        events = _answer(task, model, request, deadline, repairs)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, ChatResponse):
                    draft.response = event
                else:
                    yield event
        _read(task, draft, request.passages, repairs)
    except (ConfigError, StorageError):
        raise
    except ShoalError as error:
        draft.failure = error


async def _answer(
    task: Task[Any], model: ChatModel, request: ChatRequest, deadline: float, repairs: int
) -> AsyncGenerator[ChatDelta | ChatResponse]:
    """One answer; with tools, as many calls as it takes to get there, within bounds."""
    toolset = Toolset(task.agent.tools)
    for _ in range(MAX_TOOL_CALLS + 1):
        response = None
        with scope(purpose="repair" if repairs else task.purpose, attempt=repairs + 1):
            events = model.stream(request)
        async with aclosing(events):
            async for event in _until(events, deadline, task.agent):
                if isinstance(event, ChatResponse):
                    response = event
                elif not task.agent.tools:
                    yield event
        assert response is not None, "the ChatModel contract: a stream ends in a response"
        if not task.agent.tools:
            yield response
            return
        step = parse_step(task.agent.name, response.text)
        if isinstance(step, str):
            yield ChatDelta(text=step)
            yield replace(response, text=step)
            return
        name, arguments = step
        result = await toolset[name].call(arguments)
        shown = (Message("assistant", response.text), Message("user", f"Result of {name}: {result}"))
        request = replace(request, messages=request.messages + shown)
    raise OutputInvalid(
        f"{task.agent.name} called tools {MAX_TOOL_CALLS + 1} times without answering",
        text="",
        why="it goes round in circles",
        mend="give it fewer tools or a larger model",
    )


async def _until(
    events: AsyncGenerator[ChatEvent], deadline: float, agent: AgentSpec[Any]
) -> AsyncGenerator[ChatEvent]:
    """Pass events on until the attempt's time is over. No timeout scope is open across a yield."""
    while True:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                event = await anext(events)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{agent.name} did not finish within {agent.timeout_s:g} s",
                phase="total",
                limit_s=agent.timeout_s,
                mend=f'Agent("{agent.name}", timeout_s={agent.timeout_s * 2:g}, ...)',
            ) from error
        yield event


def _read(task: Task[OutputT], draft: _Draft[OutputT], passages: tuple[Passage, ...], repairs: int) -> None:
    """Turn the response into output and signals, leaving in the draft what is known when one fails."""
    agent, response = task.agent, draft.response
    assert response is not None
    is_json = agent.output is not str
    draft.signals = read_signals(response, is_json=is_json, passages=passages, repairs=repairs)
    if draft.signals.empty:
        return
    try:
        draft.output = parse_output(agent, response.text)
    except OutputInvalid:
        draft.signals = replace(draft.signals, schema_valid=False)
        raise
    draft.signals = replace(
        draft.signals,
        schema_valid=True if is_json else None,
        checks_failed=failed_checks(agent.checks, task.text, draft.output),
    )


def _with_routing(signals: Signals, decision: Decision | None) -> Signals:
    if decision is None or decision.confidence is None:
        return signals  # nobody looked whether the agent fits
    return replace(signals, router_confidence=decision.confidence, router_margin=decision.margin)


def _model_of(agent: AgentSpec[Any]) -> str | ChatModel:
    assert isinstance(agent.model, str | ChatModel), "AgentSpec turns functions into models"
    return agent.model
