"""`engine:model` names."""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from shoal.core.errors import ConfigError, UnknownName

__all__ = ["Engine", "ModelName", "parse_model_name"]

Engine = Literal["ollama", "openai", "embedded"]


@dataclass(frozen=True, slots=True)
class ModelName:
    engine: Engine
    model: str
    """The name within the engine; may hold colons itself, e.g. "gemma3:1b"."""

    def __str__(self) -> str:
        return f"{self.engine}:{self.model}"


def parse_model_name(text: str) -> ModelName:
    """Split "ollama:gemma3:1b" at its first colon.

    Raises:
        ConfigError: there is no engine or no model in it.
        UnknownName: the engine is not one of Shoal's.
    """
    engine, _, model = text.partition(":")
    if not engine or not model:
        raise ConfigError(
            f'"{text}" names no engine',
            why="a model is written engine:model",
            mend=f'write "ollama:{text}", "openai:{text}" or "embedded:{text}"',
        )
    engines = get_args(Engine)
    if engine not in engines:
        raise UnknownName("engine", engine, engines, mend=f'write "ollama:{text}"')
    return ModelName(cast("Engine", engine), model)
