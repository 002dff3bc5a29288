# The part of LangGraph that Shoal uses; the library's own overloads are only partially typed.
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Interrupt

START: str
END: str

class Graph:
    def draw_mermaid(self, *, with_styles: bool = ...) -> str: ...
    @property
    def nodes(self) -> Mapping[str, Any]: ...
    @property
    def edges(self) -> Sequence[Any]: ...

class StateSnapshot:
    values: dict[str, Any]
    next: tuple[str, ...]
    interrupts: tuple[Interrupt, ...]

class CompiledStateGraph:
    async def ainvoke(
        self,
        input: Any,
        config: Mapping[str, Any] | None = ...,
        *,
        durability: Literal["sync", "async", "exit"] | None = ...,
    ) -> dict[str, Any]: ...
    def invoke(self, input: Any, config: Mapping[str, Any] | None = ...) -> dict[str, Any]: ...
    async def aget_state(self, config: Mapping[str, Any]) -> StateSnapshot: ...
    def get_graph(self) -> Graph: ...

class StateGraph:
    def __init__(self, state_schema: type[Any]) -> None: ...
    def add_node(
        self,
        node: str,
        action: Callable[[Any], Any],
        *,
        input_schema: type[Any] | None = ...,
        destinations: tuple[str, ...] | None = ...,
    ) -> StateGraph: ...
    def add_edge(self, start_key: str | list[str], end_key: str) -> StateGraph: ...
    def add_conditional_edges(
        self,
        source: str,
        path: Callable[[Any], Any],
        path_map: Mapping[Any, str] | Sequence[str] | None = ...,
    ) -> StateGraph: ...
    def compile(self, checkpointer: BaseCheckpointSaver | None = ...) -> CompiledStateGraph: ...
