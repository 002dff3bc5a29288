"""From a model's text to the agent's output type, and the judge used when there is no policy."""

from typing import Any

from pydantic import ValidationError

from shoal.agents.attempt import OutputT
from shoal.agents.spec import AgentSpec
from shoal.core.decision import Action, Signals, Verdict
from shoal.core.errors import ConfigError, OutputInvalid, ShoalError

__all__ = ["HardChecks", "failed_checks", "parse_output", "unfence"]

FENCE = "```"


def parse_output(agent: AgentSpec[OutputT], text: str, asked: str) -> OutputT:
    """Validate an answer. A Markdown fence around JSON is taken off first; nothing else is guessed.

    Args:
        agent: whose output type it has to have.
        text: what the model wrote.
        asked: what it was asked. The type's own validators find it as `info.context["input"]`, so that code
            can complete an answer where code knows better.

    Raises:
        OutputInvalid: the text is not of the agent's output type; `why` lists the fields at fault.
    """
    if agent.output is str:
        return agent.adapter.validate_python(text.strip())
    try:
        return agent.adapter.validate_json(unfence(text), context={"input": asked})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in error.errors()[:5]
        )
        raise OutputInvalid(
            f"the answer of {agent.name} does not have the promised shape", text=text, why=faults
        ) from error


def failed_checks(agent: AgentSpec[Any], text: str, output: Any) -> tuple[str, ...]:
    """Names of the agent's checks that say no.

    Raises:
        ConfigError: a check raised: a bug of the caller's, not a fault of the model.
    """
    failed: list[str] = []
    for check in agent.checks:
        name = getattr(check, "__name__", repr(check))
        try:
            passed = check(text, output)
        except Exception as error:
            raise ConfigError(
                f"the check {name} of {agent.name} failed",
                why=f"{type(error).__name__}: {error}",
                mend=f"let {name}(text, output) return True or False for every {agent.output!r}",
            ) from error
        if not passed:
            failed.append(name)
    return tuple(failed)


class HardChecks:
    """Accepts what has the right shape and passes the agent's checks; knows no probabilities."""

    def judge(
        self,
        agent: str,  # noqa: ARG002 (the Judge port; hard checks are the same for all agents)
        signals: Signals,
        *,
        failure: ShoalError | None = None,
        digest: str | None = None,  # noqa: ARG002
        repairs_left: int = 0,
        large: bool,
    ) -> Verdict:
        problem = _problem(signals, failure)
        if problem is None:
            return Verdict(action="accept", reason="right shape, all checks passed")
        otherwise: Action = "escalate" if large else "abstain"
        mendable = failure is None or isinstance(failure, OutputInvalid)
        return Verdict(action="repair" if repairs_left and mendable else otherwise, reason=problem)


def _problem(signals: Signals, failure: ShoalError | None) -> str | None:
    if failure is not None:
        return failure.what
    if signals.empty:
        return "the answer is empty"
    if signals.truncated:
        return "the answer was cut off at max_tokens"
    if signals.refusal:
        return "the model refused"
    if signals.checks_failed:
        return f"check failed: {', '.join(signals.checks_failed)}"
    return None


def unfence(text: str) -> str:
    """Without the Markdown fence that some models put around JSON."""
    text = text.strip()
    if text.startswith(FENCE) and text.endswith(FENCE) and "\n" in text:
        return text[text.index("\n") + 1 : -len(FENCE)]
    return text
