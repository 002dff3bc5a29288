"""A team as a LangGraph graph: route -> agents (side by side) -> judge -> large or more agents -> merge."""

from langgraph.graph import END, START, StateGraph

from shoal.graphs.nodes import TeamNodes, TeamParts
from shoal.graphs.state import TeamState, Work

__all__ = ["build_team_graph"]


def build_team_graph(parts: TeamParts) -> StateGraph:
    """The graph, not yet compiled, so that a caller can add nodes of their own first."""
    nodes = TeamNodes(parts)
    names = list(parts.agents)
    targets = [*names, "large", "consent"] if parts.large is not None else names
    graph = StateGraph(TeamState)
    graph.add_node("route", nodes.route)
    for name in names:
        graph.add_node(name, nodes.agent, input_schema=Work)
        graph.add_edge(name, "judge")
    graph.add_node("judge", nodes.judge, destinations=(*targets, "merge"))
    if parts.large is not None:
        graph.add_node("large", nodes.large, input_schema=Work)
        graph.add_edge("large", "judge")
        graph.add_node("consent", nodes.consent)
        graph.add_edge("consent", "judge")
    graph.add_node("merge", nodes.merge)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", nodes.dispatch, [*names, "merge"])
    graph.add_edge("merge", END)
    return graph
