"""The router as a conditional edge of somebody's LangGraph graph.

A plain callable with a `Literal` return annotation, which is what LangGraph draws graphs from; langgraph
itself is not imported.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, cast

from shoal.core.errors import ConfigError
from shoal.core.port import RoutePort

__all__ = ["Edge", "as_edge"]

Edge: TypeAlias = Callable[[object], str]


def as_edge(router: RoutePort, *, text: str, otherwise: str) -> Edge:
    """A function from a graph's state to the name of the next node.

    Args:
        router: Decides.
        text: Field of the state that holds the request; the state may be a mapping or an object.
        otherwise: Node for requests that no agent fits, e.g. "__end__".
    """

    def route(state: object) -> str:
        return router.decide(_read(state, text)).agent or otherwise

    route.__annotations__["return"] = Literal[(*router.agents, otherwise)]
    return route


def _read(state: object, field: str) -> str:
    if isinstance(state, Mapping):
        value = cast("Mapping[str, object]", state).get(field)
    else:
        value = getattr(state, field, None)
    if not isinstance(value, str):
        raise ConfigError(
            f'the graph\'s state has no text in "{field}"',
            why=f"found {type(value).__name__}",
            mend='name the field that holds the request: router.as_edge(text="...")',
        )
    return value
