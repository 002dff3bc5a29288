"""Shoal's parts in a LangGraph graph of your own: agents are nodes, a router is an edge."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from shoal import Agent, Router


class Ticket(TypedDict, total=False):
    mail: str
    answer: str


complaint = Agent("complaint", job="Answer complaints.", model=lambda text: "A person will call you today.")
praise = Agent("praise", job="Answer praise.", model=lambda text: "Thank you, this made our day!")

router = Router.fit(
    [
        ("this is broken", "complaint"),
        ("I want my money back", "complaint"),
        ("nobody answers my mails", "complaint"),
        ("the best service ever", "praise"),
        ("I love it", "praise"),
        ("thank you so much, great work", "praise"),
    ]
)

graph = StateGraph(Ticket)
graph.add_node("triage", lambda state: {"mail": state["mail"].strip()})
for agent in (complaint, praise):
    graph.add_node(agent.name, agent.as_node(input="mail", output="answer"))
    graph.add_edge(agent.name, END)
graph.add_edge(START, "triage")
graph.add_conditional_edges("triage", router.as_edge(text="mail"))

if __name__ == "__main__":
    import asyncio

    state = asyncio.run(graph.compile().ainvoke({"mail": "you people never answer my mails, I am angry"}))
    print(state["answer"])
