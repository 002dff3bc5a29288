"""An answer that a person corrects: one more step of its run, nothing is changed that stands there."""

import time
from typing import Any

from shoal.agents.agent import Agent
from shoal.agents.validation import parse_output
from shoal.core.errors import InputError, OutputInvalid, RunError
from shoal.tracing.record import RunRecord, StepRow, new_id

__all__ = ["answered_step", "corrected_step"]


def answered_step(record: RunRecord, subtask: str | None) -> StepRow:
    """The last step in which an agent answered the named subtask, or the only one there is.

    Raises:
        RunError: nobody answered it, or the run has several and none is named.
    """
    answered = {step.subtask_id: step for step in record.steps if step.agent is not None and step.subtask_id}
    if subtask is None and len(answered) == 1:
        return next(iter(answered.values()))
    if subtask in answered:
        return answered[subtask]
    run = record.run.id[:8]
    if not answered:
        raise RunError(f"no agent answered anything in run {run}", mend="shoal runs")
    listed = "; ".join(f'{key}: "{" ".join(answered[key].input.split())[:60]}"' for key in sorted(answered))
    what = "has several subtasks" if subtask is None else f'has no answered subtask "{subtask}"'
    raise RunError(f"run {run} {what}", why=listed, mend=f"shoal correct {run} --subtask 1 ANSWER")


def corrected_step(step: StepRow, agent: Agent[Any], answer: str) -> StepRow:
    """The row that says what the answer should have been.

    Args:
        step: the one whose answer is wrong.
        agent: who gave it.
        answer: as the agent would write it: JSON, or text.

    Raises:
        InputError: it is not what the agent answers.
    """
    try:
        right = agent.adapter.dump_json(parse_output(agent, answer, step.input)).decode()
    except OutputInvalid as error:
        raise InputError(
            f"that is no answer of {agent.name}", why=error.why, mend=f"JSON that fits: {agent.schema}"
        ) from error
    now = time.time()
    return StepRow(
        id=new_id(),
        run_id=step.run_id,
        node="correction",
        started_at=now,
        ended_at=now,
        latency_s=0.0,
        subtask_id=step.subtask_id,
        input=step.input,
        action="accept",
        reason=f"A person corrected the answer of {agent.name}.",
        output=answer.strip() if agent.output is str else right,
    )
