"""What an agent is: an immutable description, checked when it is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Generic, Literal, Self, cast, get_args

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

from shoal.agents.attempt import OutputT
from shoal.core.agent_name import AGENT_NAME
from shoal.core.chat import JsonSchema, Sampling
from shoal.core.errors import ConfigError
from shoal.core.model_name import parse_model_name
from shoal.core.port import ChatModel
from shoal.models.function import FunctionModel
from shoal.specialists import Specialist
from shoal.tools import Tool, Toolset

__all__ = ["AgentSpec", "Check", "Example"]

Check = Callable[[str, Any], bool]
"""(input text, output) -> is the output good? Its name is what a person reads when it is not."""
Example = tuple[str, Any]
"""(input text, expected output)"""

RESERVED = frozenset({"route", "judge", "consent", "large", "merge"})
"""Names of the team graph's own nodes."""
MAX_ANSWER_TOKENS = 131_072
Overflow = Literal["refuse", "fewer_passages"]


@dataclass(frozen=True)
class AgentSpec(Generic[OutputT]):
    """A specialist: its job, its model, and the shape of its answer.

    Raises:
        ConfigError: a field is missing or contradicts another; the message names field and agent.
    """

    name: str
    """Lower-case letters, digits, "-" and "_"; starts with a letter, at most 64 characters."""
    job: str = field(kw_only=True)
    """One sentence. The router reads it, and it opens the prompt."""
    model: str | ChatModel | Callable[..., Any] = field(kw_only=True)
    """`engine:model`, an alias from shoal.toml, a ChatModel, or a typed function `f(text)` or
    `f(text, passages)` that answers without a language model."""
    output: type[OutputT] = field(default=cast("type[OutputT]", str), kw_only=True)
    """`str`, or anything pydantic can validate: its JSON schema constrains the answer."""
    instructions: str = field(default="", kw_only=True)
    examples: Sequence[Example] = field(default=(), kw_only=True)
    """Shown to the model, and learnt from by the router."""
    tools: Sequence[Tool] = field(default=(), kw_only=True)
    knowledge: str | None = field(default=None, kw_only=True)
    """Folder of .md and .txt files to look passages up in, relative to the project's root."""
    on_overflow: Overflow = field(default="refuse", kw_only=True)
    """When the prompt does not fit: say so, or leave out the weakest passages until it does. Nothing else is
    ever left out."""
    cache: bool = field(default=False, kw_only=True)
    """Answer the very same request to the same weights from what was answered before. Needs temperature 0."""
    checks: Sequence[Check] = field(default=(), kw_only=True)
    max_tokens: int = field(default=512, kw_only=True)
    """Of the answer, 1 to 131072."""
    timeout_s: float = field(default=120.0, kw_only=True)
    """For one attempt: look-up, model calls and repairs together; queueing included."""
    sampling: Sampling = field(default_factory=Sampling, kw_only=True)
    specialist: Specialist | None = field(default=None, kw_only=True)
    """What was trained for this agent. Its base is then asked instead of `model`, and its system message
    stands for job, instructions and examples; a project's team fills this in with what is live."""

    def __post_init__(self) -> None:
        # Lists are what people write; tuples are what stays as it was checked.
        for name in ("examples", "tools", "checks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_text()
        self._check_values()
        if isinstance(self.model, str):
            if ":" in self.model:
                parse_model_name(self.model)
        elif not isinstance(self.model, ChatModel):
            object.__setattr__(self, "model", FunctionModel(self.model))
        self._check_calls()
        self._check_examples()

    @property
    def schema(self) -> JsonSchema | None:
        """JSON schema of the answer; None for plain text."""
        return None if self.output is str else _schema(self.output)

    @property
    def adapter(self) -> TypeAdapter[OutputT]:
        return _adapter(self.output)

    @property
    def asked(self) -> "str | ChatModel | Callable[..., Any]":
        """The model that answers: the specialist's, else its own."""
        return self.specialist.base if self.specialist else self.model

    def asking(self, model: "str | ChatModel") -> Self:
        """The same agent on another model, and so without what was trained for it on its own."""
        return replace(self, model=model, specialist=None)

    def _check_text(self) -> None:
        if not AGENT_NAME.fullmatch(self.name):
            raise ConfigError(
                f'"{self.name}" cannot name an agent',
                why='a name is lower-case letters, digits, "-" and "_", and starts with a letter',
            )
        if self.name in RESERVED:
            raise ConfigError(
                f'"{self.name}" cannot name an agent', why="the team's graph has a node of that name"
            )
        if not self.job.strip():
            raise ConfigError(
                f"agent {self.name} has no job",
                why="the router reads it and the prompt opens with it",
                mend=f'Agent("{self.name}", job="One sentence that says what it does.", ...)',
            )

    def _check_values(self) -> None:
        if not 1 <= self.max_tokens <= MAX_ANSWER_TOKENS:
            raise ConfigError(
                f"agent {self.name}: max_tokens={self.max_tokens}",
                why=f"it must lie between 1 and {MAX_ANSWER_TOKENS}",
            )
        if not self.timeout_s > 0:
            raise ConfigError(
                f"agent {self.name}: timeout_s={self.timeout_s}", why="it must be more than 0 seconds"
            )

        if self.cache and self.sampling.temperature != 0:
            raise ConfigError(
                f"agent {self.name}: cache=True at temperature {self.sampling.temperature:g}",
                why="above 0 the same request is meant to be answered differently each time",
                mend="cache=False, or Sampling(temperature=0)",
            )
        if self.on_overflow not in get_args(Overflow):
            raise ConfigError(
                f'agent {self.name}: on_overflow="{self.on_overflow}"',
                why=f"it must be one of {', '.join(get_args(Overflow))}",
            )

    def _check_calls(self) -> None:
        for tool in self.tools:
            if not isinstance(cast("object", tool), Tool):
                raise ConfigError(
                    f"agent {self.name}: {tool!r} is not a tool",
                    why="a tool says what it takes and what it changes",
                    mend=f"tools=[Tool.of({getattr(tool, '__name__', 'function')})]",
                )
        Toolset(self.tools)
        for check in self.checks:
            if not callable(check):
                raise ConfigError(
                    f"agent {self.name}: the check {check!r} is not a function",
                    mend="def check(text: str, output: ...) -> bool",
                )

    def _check_examples(self) -> None:
        for example in self.examples:
            if not isinstance(cast("object", example), tuple | list) or len(example) != 2:
                raise ConfigError(
                    f"agent {self.name}: {example!r} is not an example",
                    mend='examples=[("input text", expected_output), ...]',
                )
            text, expected = example
            try:
                self.adapter.validate_python(expected)
            except ValueError as error:
                raise ConfigError(
                    f"agent {self.name}: the example {text[:60]!r} does not fit its output type",
                    why=str(error),
                ) from error


@cache
def _adapter(output: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(output)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise ConfigError(
            f"{output!r} cannot be an output type",
            why="pydantic cannot validate it",
            mend="use a pydantic model, a dataclass, a Literal, or str",
        ) from error


@cache
def _schema(output: Any) -> JsonSchema:
    return _adapter(output).json_schema()
