"""Shoal's parts in a LangGraph graph of your own: agents are nodes, a router is an edge."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph

from shoal import Agent, Router


class Ticket(TypedDict, total=False):
    mail: str
    answer: str


def call_back(text: str) -> str:
    return f"A person will call you today about: {text}"


def thank(text: str) -> str:
    return f"Thank you for writing this: {text}"


complaint = Agent("complaint", job="Answer complaints.", model=call_back)
praise = Agent("praise", job="Answer praise.", model=thank)


def strip(state: Ticket) -> Ticket:
    return {"mail": state.get("mail", "").strip()}


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
graph.add_node("triage", strip)
for agent in (complaint, praise):
    graph.add_node(agent.name, agent.as_node(input="mail", output="answer"))
    graph.add_edge(agent.name, END)
graph.add_edge(START, "triage")
graph.add_conditional_edges("triage", router.as_edge(text="mail"))

if __name__ == "__main__":
    import asyncio

    state = asyncio.run(graph.compile().ainvoke({"mail": "you people never answer my mails, I am angry"}))
    print(state["answer"])
