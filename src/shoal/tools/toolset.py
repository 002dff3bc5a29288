"""Tools by name."""

from collections.abc import Iterable, Iterator

from shoal.core.errors import ConfigError, UnknownName
from shoal.tools.tool import Tool

__all__ = ["Toolset"]


class Toolset:
    """Some tools with different names. Immutable."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """Raises ConfigError when two tools share a name."""
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ConfigError(f"two tools are called {tool.name}", mend="rename one of the functions")
            self._tools[tool.name] = tool

    def __getitem__(self, name: str) -> Tool:
        """Raises UnknownName, with the nearest name."""
        if name not in self._tools:
            raise UnknownName("tool", name, self._tools)
        return self._tools[name]

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)
